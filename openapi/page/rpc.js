// Methods of OpenRPC and channels of AsyncAPI.

function paramsOf(input) {
	clearErrors([input]);
	try {
		return input.values().map(parse)[0];
	} catch (error) {
		setErrors([input], [{detail: error.message}]);
		throw Error('the params are not JSON');
	}
}

function methodView(doc, socket, postURL, method) {
	// x-wsx-params is the schema of the params as a whole; a document of others has them one by one.
	const given = resolveAll(doc, method.params).map(([, x]) => x);
	const params = method['x-wsx-params'] ?? {properties: Object.fromEntries(given.map((x) => [x.name, x.schema])), required: given.filter((x) => x.required).map((x) => x.name)};
	const item = method['x-wsx-item'], input = field(doc, {name: 'Params', json: true, example: sample(doc, params)});
	const over = h('select', 0, socket && h('option', 0, 'WebSocket'), postURL && h('option', 0, 'JSON-RPC by POST')), items = log(`Items of ${method.name}`);
	return h('div.columns', 0, h('div', 0,
		about(method),
		h4('Params'), outline(doc, params),
		item && [h4('Items'), outline(doc, item)],
		h4('Result'), method.result ? outline(doc, resolve(doc, method.result).schema) : p('None: it is a notification.')),
	(socket || postURL) && callForm(method.result ? 'Call' : 'Notify', [socket && postURL && labelled(over, 'Over'), input.element], async ({say, output, signal}) => {
		const value = paramsOf(input);
		items.clear();
		output.append(items);
		const began = performance.now();
		const {result, error} = over.value === 'WebSocket'
			? await socket.request('rpc.request', {method: method.name, params: value, meta: {progress: true}}, signal, ({seq, item, meta}) =>
				(meta?.progress === undefined ? items.add(`item ${seq}`, item) : items.add('progress', meta.progress)))
			: await post(postURL, method.name, value, !method.result, signal);
		const took = ` · ${since(began)}`;
		if (!error) {
			output.append(block('Result', layOut(show(result ?? null))));
			return say(`Result${took}`);
		}
		say(told(error) + took, true);
		if (!error.details) return undefined;
		output.append(block('Details', layOut(show(error.details))));
		const {errors, path} = error.details;
		return setErrors([input], errors?.map((e) => ({...e, in: ''})) ?? (path !== undefined && [{pointer: path, detail: error.message}]));
	}));
}

function channelView(doc, socket, channel) {
	const parameters = resolveAll(doc, channel.parameters).map(([name, x]) => [name, {type: 'string', ...x}]);
	const inputs = parameters.map(([name, schema]) => field(doc, {in: 'address', name, schema, required: true, example: list(schema.examples)[0] ?? schema.default}));
	const params = field(doc, {name: 'Params', json: true}), events = log(`Events of ${channel.address}`);
	let subscription, count;
	const ended = (text, bad, say) => {
		if (document.activeElement === end) form.querySelector('.primary').focus();
		end.hidden = true;
		say(`${text} Events: ${count}.`, bad);
	};
	const end = button('Unsubscribe', () => subscription(), {hidden: true});
	const form = callForm('Subscribe', [inputs.map((f) => f.element), params.element], async ({say, output, signal}) => {
		const value = paramsOf(params);
		if (!end.hidden) await subscription();
		output.append(events);
		events.clear();
		count = 0;
		const name = inputs.reduce((address, f) => address.replace(`{${f.name}}`, () => f.input.value), channel.address);
		const {result, error} = await socket.subscribe({channel: name, params: value}, signal, ({error, channel, payload, meta}) => {
			if (error) return ended(`${told(error)}.`, true, say);
			count++;
			return events.add(some(channel, meta.offset && `offset ${meta.offset}`, meta.dropped && `${meta.dropped} lost before`).join(', '), payload);
		});
		if (error) return say(told(error), true);
		subscription = async () => {
			await socket.unsubscribe(result.subscription);
			ended('Unsubscribed.', false, say);
		};
		end.hidden = false;
		return say(`Subscribed to ${result.channel}.`);
	}, end);
	return h('div.columns', 0, h('div', 0,
		about(channel),
		parameters.length > 0 && [h4('Parameters'), h('ul.tree', 0, parameters.map(([name, schema]) => outline(doc, schema, name, true)))],
		h4('Messages'), resolveAll(doc, channel.messages).map(([name, {payload, description, summary}]) =>
			[p(code(name)), prose(description ?? summary), outline(doc, payload?.schema ?? payload)])),
	socket && form);
}
