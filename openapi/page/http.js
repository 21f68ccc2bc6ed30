// Operations of OpenAPI 3.1: what they are, a form that sends them, and the answer.

const isJSON = (type) => /[/+]json\b/i.test(type);
const isForm = (type) => /^(multipart\/form-data|application\/x-www-form-urlencoded)/i.test(type);
const isText = (type) => /^text\/|[/+](json|xml|yaml|x-ndjson|jsonl)\b/i.test(type);
const isFile = (s) => s.format === 'binary' || s.contentMediaType;
const largestAnswer = 16 << 20; // bytes

const exampleOf = (doc, x) => x.example ?? resolveAll(doc, x.examples)[0]?.[1].value;
const schemaOf = (x) => x.schema ?? Object.values(Object(x.content))[0]?.schema;

const contents = (doc, content) => entries(content).map(([type, media]) => {
	const example = exampleOf(doc, media);
	return [p(code(type)), outline(doc, media.schema), example !== undefined && lazy('details', 'Example', () => block('Example', layOut(show(example))))];
});

function operationView(doc, servers, call) {
	const {operation, parameters} = call, body = call.body = operation.requestBody && resolve(doc, operation.requestBody);
	const security = call.security = list(operation.security ?? doc.security);
	return h('div.columns', 0, h('div', 0,
		about(operation),
		security.length > 0 && p(h('strong', 0, 'Needs '), security.map((s) => Object.keys(s).join(' and ') || 'nothing').join(', or ')),
		parameters.length > 0 && [h4('Parameters'), h('ul.tree', 0, parameters.map((x) =>
			outline(doc, schemaOf(x), x.name, x.required, some(`In the ${x.in}.`, x.deprecated && 'Deprecated.', x.description).join(' '))))],
		body && [h4('Body', body.required && h('strong.required', 0, ' required')), prose(body.description), contents(doc, body.content)],
		h4('Answers'),
		resolveAll(doc, operation.responses).map(([status, {content, headers, description}]) =>
			lazy('details', [code(status), ` ${description}`], () => h('div', 0, contents(doc, content), h('ul.tree', 0,
				resolveAll(doc, headers).map(([name, x]) => outline(doc, schemaOf(x), name, x.required, x.description ?? 'A header.'))),
			!content && !headers && p('It has no body.')))),
	), servers.length > 0 && tryOperation(doc, servers, call));
}

function tryOperation(doc, servers, call) {
	const {operation, body} = call, types = Object.keys(Object(body?.content)), bodyBox = h('div', 0);
	call.server = servers[0];
	call.inputs = call.parameters.filter((x) => x.in !== 'cookie').map((x) => ({
		...field(doc, {...x, schema: schemaOf(x), json: x.content, example: exampleOf(doc, x) ?? examplesOf(resolve(doc, schemaOf(x)))[0]}), explode: x.explode ?? !x.style, deep: x.style === 'deepObject', segments: x['x-segments'],
	}));
	call.bodyFields = [];
	const choose = (type) => {
		call.type = type;
		call.bodyFields = bodyFields(doc, type, body.content[type], body.required);
		bodyBox.replaceChildren(...call.bodyFields.map((f) => f.element));
	};
	if (types.length) choose(types[0]);
	const choice = (label, options, set) => options.length > 1 && labelled(h('select', {change: (event) => set(event.target.value)}, options.map((o) => h('option', 0, o))), label);

	const line = code();
	const update = () => curl.open && line.replaceChildren(build(call).curl);
	const copy = button('Copy', async () => {
		try {
			await navigator.clipboard.writeText(line.textContent);
			copy.textContent = 'Copied';
		} catch { // without TLS
			getSelection().selectAllChildren(line);
		}
	});
	const curl = h('details', {toggle: update}, h('summary', 0, 'curl'), block('curl', line), copy);
	return callForm('Send', [
		choice('Server', servers, (value) => { call.server = value; }), call.inputs.map((f) => f.element), choice('Content type', types, choose), bodyBox,
	], (answer) => {
		const fields = [...call.inputs, ...call.bodyFields];
		clearErrors(fields);
		return send(build(call), answer, fields, Object(operation.responses));
	}, curl, update);
}

function bodyFields(doc, type, media, required) {
	const {schema} = media, example = exampleOf(doc, media);
	if (isForm(type)) {
		return members(doc, schema).map(([x, name, needed]) => {
			const s = resolve(doc, x);
			return field(doc, {in: 'form', name, schema: x, required: needed, file: isFile(s) || isFile(resolve(doc, s.items)), example: Object(example)[name] ?? examplesOf(s)[0]});
		});
	}
	if (isJSON(type)) return [field(doc, {name: 'Body', required, json: true, example: example ?? sample(doc, schema)})];
	return [field(doc, {name: 'Body', required, file: !isText(type)})];
}

// build is the request as fetch and as curl take it.
function build({server, method, path, inputs, bodyFields, type, security}) {
	const headers = [], query = new URLSearchParams(), data = [];
	const put = (where, name, value) => (where === 'query' ? query.append(name, value) : headers.push([name, value]));
	for (const f of inputs) {
		const values = f.values();
		if (f.in === 'path') path = path.replace(`{${f.name}}`, () => values.map((value) => (f.segments ? value.split('/') : [value]).map(encodeURIComponent).join('/')).join());
		else if (f.deep) values.map((line) => line.split('=')).forEach(([key, ...value]) => put('query', `${f.name}[${key}]`, value.join('=')));
		else if (f.in === 'query' && f.explode) values.forEach((value) => put('query', f.name, value));
		else if (values.length) put(f.in, f.name, values.join());
	}
	for (const c of credentialsFor(security)) put(c.in, c.name, c.value);
	let body;
	if (isForm(type)) {
		const multipart = /^m/i.test(type);
		body = multipart ? new FormData() : new URLSearchParams();
		for (const f of bodyFields) {
			for (const value of f.values()) {
				body.append(f.name, value);
				data.push(value.name ? ['-F', `${f.name}=@${value.name}`] : [multipart ? '--form-string' : '--data-urlencode', `${f.name}=${value}`]);
			}
		}
	} else if (bodyFields.length) {
		[body] = bodyFields[0].values();
		if (body) {
			headers.push(['Content-Type', type]);
			data.push(body.name ? ['--data-binary', `@${body.name}`] : ['--data-raw', body]);
		}
	}
	const url = server.replace(/\/$/, '') + path + (query.size ? `?${query}` : ''), quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
	const options = [...headers.map((header) => ['-H', header.join(': ')]), ...data].map(([option, value]) => `${option} ${quote(value)}`);
	return {url, init: {method, headers, body}, curl: [`curl ${method === 'HEAD' ? '--head' : `-X ${method}`} ${quote(url)}`, ...options].join(' \\\n  ')};
}

async function send({url, init}, {say, output, signal}, fields, declared) {
	const began = performance.now(), response = await fetch(url, {...init, signal, cache: 'no-store'});
	const {status, statusText, ok} = response, type = response.headers.get('Content-Type') ?? '';
	const known = declared[status] ?? declared[`${String(status)[0]}XX`] ?? declared.default;
	const tell = (...more) => say(some(`${status} ${statusText}`, ...more, !known && 'not in the document', response.redirected && `redirected to ${response.url}`).join(' · '), !ok);
	tell();
	URL.revokeObjectURL(output.saved);
	const pre = block('Body of the answer'), readable = isText(type);
	output.append(lazy('details', 'Headers', () => block('Headers', [...response.headers].map((header) => header.join(': ') + '\n'))), readable ? pre : '');
	const {chunks, size} = await read(response, (text) => readable && pre.append(text));
	const blob = new Blob(chunks, {type}), took = `${since(began)} · ${size.toLocaleString()} bytes`;
	let wrong;
	if (!size) pre.remove();
	else if (!readable || size > largestShown) output.append(p(h('a', {href: output.saved = URL.createObjectURL(blob), download: 'answer'}, `Save the body ${type}`)));
	else if (isJSON(type)) {
		const text = await blob.text();
		pre.replaceWith(block('Body of the answer', layOut(text)));
		wrong = setErrors(fields, !ok && Object(parse(text)).errors);
	}
	tell(took, wrong && `fields that are wrong: ${wrong}`);
}

// read takes an answer as it comes, which a stream of events does for long, and hands on what is to
// be shown of it.
async function read(response, onText) {
	const decoder = new TextDecoder(), chunks = [], reader = response.body?.getReader();
	let size = 0;
	while (reader) {
		const {done, value} = await reader.read();
		if (done) break;
		if (size < largestShown) onText(decoder.decode(value, {stream: true}));
		chunks.push(value);
		size += value.length;
		if (size > largestAnswer) {
			reader.cancel();
			throw Error(`it has more than ${largestAnswer} bytes`);
		}
	}
	return {chunks, size};
}
