// JSON Schemas: what they refer to, how they read, and an example of each. A document may refer in
// circles: what is inside a type is shown when it is asked for, and an example stops there.

// resolve is what x stands for. References into the document are followed; other members beside a
// reference count (OpenAPI 3.1, JSON Schema 2020-12).
function resolve(doc, x) {
	for (let i = 0; i < 20 && String(x?.$ref)[0] === '#'; i++) {
		const {$ref, ...beside} = x;
		x = {...keysOf(decodeURIComponent($ref)).reduce((at, key) => (at && Object.hasOwn(at, key) ? at[key] : undefined), doc), ...beside};
	}
	return Object(x);
}

const resolveAll = (doc, x) => entries(x).map(([name, y]) => [name, resolve(doc, y)]);

function typeName(x) {
	if (x?.$ref) return keysOf(x.$ref).pop() ?? x.$ref;
	if (x === false) return 'nothing';
	const s = Object(x), of = (y, word) => list(y).map(typeName).join(word);
	if (s.anyOf ?? s.oneOf) return of(s.anyOf ?? s.oneOf, ' or ');
	if (s.allOf) return of(s.allOf, ' and ');
	const format = s.format ?? s.contentMediaType ?? s.contentEncoding;
	return typesOf(s).map((type) => {
		const all = type === 'array' ? s.items ?? true : type === 'object' && !s.properties && s.additionalProperties;
		return all ? `${type === 'array' ? type : 'map'} of ${typeName(all).replace(/.* or .*/, '($&)')}` : type;
	}).join(' or ') + (format ? ` (${format})` : '');
}

const typesOf = (s) => [s.type ?? (s.properties ? 'object' : s.items ? 'array' : 'const' in s || s.enum ? 'value' : 'anything')].flat();
const examplesOf = (s) => [...('example' in s ? [s.example] : []), ...list(s.examples)];

// notes are what a schema asks for beyond its type.
function notes(s) {
	const say = (words, value) => value !== undefined && `${words} ${show(value)}`;
	const range = (min, max, unit = '') => some(say('at least', min), say('at most', max)).join(' and ') + ((min ?? max) === undefined ? '' : unit);
	const examples = examplesOf(s);
	const found = some(
		say('always', s.const), s.enum && `one of ${list(s.enum).map((v) => show(v)).join(', ')}`,
		range(s.minimum, s.maximum), say('above', s.exclusiveMinimum), say('below', s.exclusiveMaximum), say('a multiple of', s.multipleOf),
		range(s.minLength, s.maxLength, ' characters'), range(s.minItems, s.maxItems, ' elements'), range(s.minProperties, s.maxProperties, ' members'),
		s.uniqueItems && 'all different', s.pattern && `matches ${s.pattern}`, say('default', s.default), say('such as', examples[0]),
		s.readOnly && 'in answers only', s.writeOnly && 'in requests only', s.deprecated && 'deprecated',
	);
	return found.length > 0 && h('p.notes', 0, found.join(' · '));
}

// members are what is inside, as [schema, name, required]: of an array or a map that which is inside
// its elements.
function members(doc, x, seen = []) {
	if (seen.includes(x?.$ref)) return [];
	const s = resolve(doc, x), inside = (y) => members(doc, y, x?.$ref ? [...seen, x.$ref] : seen);
	const own = entries(s.properties).map(([name, schema]) => [schema, name, list(s.required).includes(name)]);
	const choices = list(s.anyOf ?? s.oneOf).filter((choice) => choice?.type !== 'null');
	const others = s.additionalProperties;
	return [
		...own,
		...list(s.allOf).flatMap(inside),
		...(choices.length === 1 ? inside(choices[0]) : choices.some((c) => inside(c).length) ? choices.map((c) => [c, 'either']) : []),
		...list(s.prefixItems).map((item, i) => [item, `${i}`]),
		...(s.items ? inside(s.items) : []),
		...(!others ? [] : own.length ? [[others, 'any other']] : inside(others)),
	];
}

// outline is a value with a name, or without one: its type, what is asked of it and what is inside.
function outline(doc, schema, name, required, text) {
	const s = resolve(doc, schema), type = typeName(schema), inside = members(doc, schema).length > 0;
	const content = [
		p(name && [code(name), ' '], h('span.type', 0, type), required && h('strong.required', 0, ' required')), prose(text ?? s.description), notes(s),
		inside && (name ? lazy('details', `Inside ${type}`, () => tree(doc, schema)) : tree(doc, schema)),
	];
	return name ? h('li', 0, content) : content;
}

const tree = (doc, schema) => h('ul.tree', 0, members(doc, schema).map((member) => outline(doc, ...member)));

const ofFormat = {
	'date-time': '2026-01-31T12:00:00Z', date: '2026-01-31', email: 'ada@example.com', uri: 'https://example.com/',
	uuid: '00000000-0000-4000-8000-000000000000',
};

// sample is a value that the schema takes, as far as it tells; undefined where that would not end.
function sample(doc, x, seen = []) {
	if (seen.includes(x?.$ref) || seen.length > 7) return undefined;
	const s = resolve(doc, x), of = (y) => sample(doc, y, x?.$ref ? [...seen, x.$ref] : seen);
	const given = [...examplesOf(s), s.default, s.const, ...list(s.enum), ...list(s.anyOf ?? s.oneOf).map(of)].find((v) => v !== undefined && v !== null);
	if (given !== undefined) return given;
	if (s.allOf) return Object.assign({}, ...list(s.allOf).map(of));
	const [type] = typesOf(s);
	if (type === 'array') return Array(Math.min(Math.max(s.minItems ?? 1, 1), 9)).fill(of(s.items)).filter((v) => v !== undefined);
	if (type === 'string') return ofFormat[s.format] ?? 'x'.repeat(Math.min(s.minLength ?? 0, 99));
	if (type === 'integer' || type === 'number') return s.minimum ?? (s.exclusiveMinimum ?? -1) + 1;
	if (type === 'boolean') return false;
	if (type === 'null') return null;
	return Object.fromEntries(entries(s.properties).filter(([, y]) => !resolve(doc, y).readOnly).map(([name, y]) => [name, of(y)]).filter(([, v]) => v !== undefined));
}
