// The page: reads the documents, lists what they have, and opens what the address names.

const {title, root, webSocket, jsonRpc} = document.body.dataset, base = new URL(root, location.href);
const items = [], ids = new Set(); // {details, row, box, group, text} of everything that is listed

// serverURL resolves a server of a document. One that begins with a slash is a path of the app, to
// which the prefix belongs that a proxy takes away.
function serverURL({url, variables}, documentURL) {
	url = url.replace(/{([^}]+)}/g, (_, name) => Object(variables?.[name]).default ?? '');
	const ours = /^\/(?!\/)/.test(url) && new URL(documentURL).origin === base.origin;
	return new URL(ours ? `.${url}` : url, ours ? base : documentURL).href;
}

// section lists rows under a title, in the page and in its contents.
function section(kind, title, about, rows) {
	const contents = h('ul', 0), group = h('div', 0, p(title), contents), box = h('section', 0, h('h2', 0, title), prose(about));
	for (const {id: name, tag, label, summary, description, deprecated, view} of rows) {
		let id = `${kind}/${name}`;
		while (ids.has(id)) id += '+'; // an operation with two tags
		ids.add(id);
		const hash = `#${encodeURIComponent(id)}`;
		const names = () => [h('span.tag', {'data-tag': tag}, tag), ' ', h(deprecated ? 's' : 'span', 0, label)];
		const details = lazy('details.item', [h('h3', 0, names()), ' ', String(summary ?? description ?? '').split('\n')[0], deprecated && ' (deprecated)'], view);
		details.id = id;
		details.addEventListener('toggle', () => details.open && history.replaceState(null, '', hash));
		const row = h('li', 0, h('a', {href: hash, click: () => open(id)}, names()));
		contents.append(row);
		box.append(details);
		items.push({details, row, box, group, text: [title, tag, label, name, summary, description].join(' ').toLowerCase()});
	}
	$('contents').append(group);
	$('main').append(box);
}

// open shows what an address names, and goes there.
function open(id) {
	const item = items.find(({details}) => details.id === id);
	if (!item) return;
	item.details.open = true;
	item.details.firstChild.focus();
	item.details.scrollIntoView();
}

function filter() {
	const words = $('filter').value.toLowerCase().split(/\s+/), found = items.filter(({text}) => words.every((word) => text.includes(word)));
	const hide = (hidden) => ({details, row, box, group}) => { details.hidden = row.hidden = box.hidden = group.hidden = hidden; };
	items.forEach(hide(true));
	found.forEach(hide(false));
	$('shown').textContent = found.length < items.length ? `${found.length} of ${items.length}` : '';
}

function showOpenAPI(doc, url) {
	const groups = new Map(list(doc.tags).map((tag) => [tag.name, {about: tag.description, rows: []}]));
	const collect = (paths, servers, tags) => resolveAll(doc, paths).forEach(([path, item]) => {
		for (const verb of ['get', 'query', 'head', 'post', 'put', 'patch', 'delete', 'options', 'trace']) {
			const operation = item[verb], method = verb.toUpperCase();
			if (!operation) continue;
			const parameters = resolveAll(doc, [...list(item.parameters), ...list(operation.parameters)]).map(([, y]) => [`${y.in} ${y.name}`, y]);
			const call = {method, path, operation, parameters: [...new Map(parameters).values()]};
			for (const tag of tags ?? (list(operation.tags).length ? operation.tags : ['Operations'])) {
				if (!groups.has(tag)) groups.set(tag, {rows: []});
				groups.get(tag).rows.push({
					...operation, id: operation.operationId ?? `${verb}-${path}`, tag: method, label: path,
					view: () => operationView(doc, list(operation.servers ?? item.servers ?? servers).map((server) => serverURL(server, url)), call),
				});
			}
		}
	});
	collect(doc.paths, list(doc.servers).length ? doc.servers : [{url: '/'}]);
	collect(doc.webhooks, [], ['Webhooks']);
	for (const [title, {about, rows}] of groups) if (rows.length) section('http', title, about, rows);
}

const showOpenRPC = (doc, socket) => section('rpc', 'Methods', '', resolveAll(doc, doc.methods).map(([, method]) => ({
	...method, id: method.name, tag: method['x-wsx-kind'] ?? 'call', label: method.name, view: () => methodView(doc, socket, jsonRpc, method),
})));

const showAsyncAPI = (doc, socket) => section('channel', 'Channels', '', resolveAll(doc, doc.channels).map(([id, channel]) => ({
	...channel, id, tag: 'channel', label: channel.address ?? id, view: () => channelView(doc, socket, channel),
})));

async function load(anchor) {
	try {
		const response = await fetch(anchor.href);
		if (!response.ok) throw Error(`${response.status} ${response.statusText}`);
		return {doc: parse(await response.text()), url: response.url};
	} catch (error) {
		$('about').append(h('p.error', {role: 'alert'}, `${anchor.href}: ${error.message}`));
		return {};
	}
}

async function main() {
	$('state').textContent = 'Reading the documents …';
	const loaded = await Promise.all([...document.querySelectorAll('#documents a')].map(async (a) => [a.textContent, await load(a)]));
	const {OpenAPI: {doc: http, url} = {}, OpenRPC: {doc: rpc} = {}, AsyncAPI: {doc: channels} = {}} = Object.fromEntries(loaded);
	const info = Object((http ?? rpc ?? channels)?.info);
	if (!title && info.title) document.title = $('title').textContent = info.title;
	$('version').textContent = info.version ?? '';
	$('about').append(prose(info.description) ?? '');

	const named = () => guarded(() => open(decodeURIComponent(location.hash.slice(1))));
	const socket = webSocket && new Socket(new URL(webSocket, location.href).href.replace(/^http/, 'ws'));
	const schemes = resolveAll(http, http?.components?.securitySchemes);
	if ((socket || jsonRpc) && !schemes.some(([, x]) => x.scheme === 'bearer')) schemes.push(['RPC', {type: 'http', scheme: 'bearer'}]);
	if (schemes.length) {
		$('about').append(h('details', 0, h('summary', 0, 'Credentials'), p('They are kept in this page alone, until it is closed or loaded again.'),
			schemes.map((scheme) => credentialForm(scheme, () => {
				socket?.close();
				if (ask) describe();
				document.querySelectorAll('.try').forEach((form) => form.dispatchEvent(new Event('input')));
			}))));
	}
	if (http) $('about').append(guarded(() => showOpenAPI(http, url)));
	const showRPC = (methods, channels) => {
		if (methods) $('about').append(guarded(() => showOpenRPC(methods, socket)));
		if (channels) $('about').append(guarded(() => showAsyncAPI(channels, socket)));
	};
	showRPC(rpc, channels);
	let ask = socket && !rpc && !channels;
	const describe = async () => {
		const {result, error} = await socket.request('rpc.request', {method: 'wsx.describe'}).catch((error) => ({error}));
		ask = !result;
		$('state').textContent = ask && error.code !== 'METHOD_NOT_FOUND' ? `The WebSocket: ${error.message}` : '';
		showRPC(result?.openrpc, result?.asyncapi);
		named();
	};
	if (socket) {
		const notifications = log('Notifications of the server');
		socket.onnotify = notifications.add;
		$('main').append(notifications);
	}
	$('state').textContent = '';
	$('filter').addEventListener('input', filter);
	addEventListener('hashchange', named);
	named();
	if (ask) describe();
}

main();
