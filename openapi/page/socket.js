// One connection for all calls and subscriptions, in the protocol WSX version 1, and JSON-RPC 2.0 by
// POST. An answer is {result} or {error}.

const failure = (code, message) => ({error: {code, message}});

class Socket {
	#url; #ws; #ready; #lastID = 0;
	#calls = new Map(); // by id, what takes a call's frames
	#subscriptions = new Map(); // by id, what takes its events
	constructor(url) { this.#url = url; }

	// #open connects unless it is connected, and shows the bearer token, if there is one.
	#open() { return this.#ready ??= this.#connect(); }

	async #connect() {
		const ws = this.#ws = new WebSocket(this.#url, 'wsx.v1');
		ws.onmessage = ({data}) => this.#take(parse(data));
		await new Promise((resolve, reject) => {
			ws.onopen = resolve;
			ws.onclose = ({code, reason}) => {
				const text = `the connection closed with ${code} ${reason}`;
				reject(Error(text));
				if (this.#ws === ws) this.#end(text);
			};
		});
		const token = bearer();
		if (!token) return;
		const {error} = await new Promise((resolve) => { this.#start('rpc.request', {method: 'wsx.auth', params: {token}}, resolve); });
		if (error && error.code !== 'METHOD_NOT_FOUND') {
			this.close();
			throw Error(told(error));
		}
	}

	// close is for credentials that have changed: what comes next connects anew.
	close() {
		this.#ws?.close();
		this.#end('the credentials have changed');
	}

	#end(text) {
		this.#ready = this.#ws = undefined;
		for (const takers of [this.#calls, this.#subscriptions]) {
			const all = [...takers.values()];
			takers.clear();
			all.forEach((take) => take(failure('CLOSED', text)));
		}
	}

	#send(frame) { this.#ws.send(show(frame)); }

	#start(type, members, take) {
		const id = String(++this.#lastID);
		this.#calls.set(id, take);
		this.#send({type, id, ...members});
		return id;
	}

	// request sends a request and gives the items of its stream to onItem; it returns the answer.
	async request(type, members, signal, onItem) {
		await this.#open();
		signal?.throwIfAborted();
		return new Promise((resolve) => {
			const id = this.#start(type, members, (frame) => (frame.type === 'rpc.stream' ? onItem?.(frame) : resolve(frame)));
			signal?.addEventListener('abort', () => this.#ws?.readyState === 1 && this.#send({type: 'rpc.cancel', id}));
		});
	}

	// subscribe gives the events of a channel to onEvent, until an error.
	async subscribe(channel, signal, onEvent) {
		const answer = await this.request('rpc.subscribe', channel, signal);
		if (answer.result) this.#subscriptions.set(answer.result.subscription, onEvent);
		return answer;
	}

	unsubscribe(subscription) {
		this.#subscriptions.delete(subscription);
		return this.request('rpc.unsubscribe', {subscription});
	}

	#take(frame) {
		const {type, id, event, payload} = frame;
		if (type === 'rpc.event') this.#subscriptions.get(frame.meta.sub_id)?.(frame);
		else if (type === 'rpc.ping') this.#send({type: 'rpc.pong', id});
		else if (type === 'rpc.request') this.#send({type: 'rpc.error', id, ...failure('METHOD_NOT_FOUND', 'this page has no methods')});
		else if (event === 'wsx.unsubscribed') {
			this.#subscriptions.get(payload.subscription)?.(failure(payload.code, 'the server ended the subscription'));
			this.#subscriptions.delete(payload.subscription);
		} else if (type === 'rpc.notify') this.onnotify?.(event, payload);
		else {
			const take = this.#calls.get(id);
			if (type !== 'rpc.stream') this.#calls.delete(id);
			take?.(frame);
		}
	}
}

async function post(url, method, params, notify, signal) {
	const headers = {'Content-Type': 'application/json', ...(bearer() && {Authorization: `Bearer ${bearer()}`})};
	const response = await fetch(url, {method: 'POST', headers, signal, cache: 'no-store', body: show({jsonrpc: '2.0', id: notify ? undefined : 1, method, params})});
	const text = await response.text(), {result, error} = text ? parse(text) : {};
	if (error) return {error: {...error, code: error.data?.code ?? error.code, details: error.data?.details}};
	return response.ok ? {result} : failure(response.status, response.statusText);
}
