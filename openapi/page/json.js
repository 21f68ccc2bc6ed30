// JSON without loss: integers that a double cannot hold keep their digits, and what was received
// is laid out by its tokens, not decoded and written again.

const parse = (text) => JSON.parse(text, (_, value, at) =>
	(JSON.rawJSON && typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(at.source) ? JSON.rawJSON(at.source) : value));

const show = (value, indent) => JSON.stringify(value, null, indent);
const list = (x) => (Array.isArray(x) ? x : []);
const entries = (x) => Object.entries(Object(x));

const largestShown = 256 << 10; // bytes
const tokens = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{},:]|[^\s[\]{},:"]+/g;
const opens = (token) => /^[[{]/.test(token), closes = (token) => /^[\]}]/.test(token);

// layOut is JSON as lines and colours, and any other text as it is.
function layOut(text) {
	try {
		if (text.length > largestShown) return text;
		JSON.parse(text);
	} catch {
		return text;
	}
	let depth = 0;
	return text.match(tokens).map((token, i, all) => {
		const before = all[i - 1] ?? '';
		if (closes(token)) depth--;
		const line = (closes(token) ? !opens(before) : opens(before) || before === ',') && '\n' + '  '.repeat(Math.min(depth, 40));
		if (opens(token)) depth++;
		if (/^[[\]{},:]/.test(token)) return [line, token === ':' ? ': ' : token];
		return [line, h(all[i + 1] === ':' ? 'span.key' : token[0] === '"' ? 'span.string' : 'span.literal', 0, token)];
	});
}

// keysOf takes a JSON Pointer apart (RFC 6901).
const keysOf = (pointer) => String(pointer).split('/').slice(1).map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));

// locate finds from where to where in a JSON text the value is to which keys lead; one that is
// missing is where it should be, in its parent.
function locate(text, keys) {
	const path = [], all = [...text.matchAll(tokens)];
	let start;
	for (const [i, {0: token, index}] of all.entries()) {
		const last = path.length - 1;
		if (closes(token)) {
			path.pop();
			if (start !== undefined && last === keys.length) return [start, index + 1];
		} else if (all[i + 1]?.[0] === ':') {
			path[last] = JSON.parse(token);
		} else if (token === ',') {
			if (typeof path[last] === 'number') path[last]++;
		} else if (token !== ':') {
			if (path.length === keys.length && keys.every((key, j) => String(path[j]) === key)) {
				start = index;
				if (!opens(token)) return [start, index + token.length];
			}
			if (opens(token)) path.push(token === '[' ? 0 : '');
		}
	}
	return keys.length ? locate(text, keys.slice(0, -1)) : [0, text.length];
}
