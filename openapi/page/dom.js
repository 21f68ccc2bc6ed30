// What a document or an answer says is put on the page as text alone: no string becomes markup.

const $ = (id) => document.getElementById(id);

// h makes an element: tag.class, its attributes and listeners or 0, and children. Attributes and
// children that are undefined or false are left out.
function h(name, attributes, ...children) {
	const [tag, className] = name.split('.'), element = document.createElement(tag);
	if (className) element.className = className;
	for (const [key, value] of Object.entries(attributes)) {
		if (typeof value === 'function') element.addEventListener(key, value);
		else if (value !== undefined && value !== false) element.setAttribute(key, value);
	}
	element.append(...children.flat(9).filter((child) => child || child === 0));
	return element;
}

const p = (...children) => h('p', 0, ...children);
const code = (...children) => h('code', 0, ...children);
const h4 = (...children) => h('h4', 0, ...children);
const some = (...values) => values.filter(Boolean);
const since = (began) => `${Math.round(performance.now() - began)} ms`;
const told = ({code, message}) => `${code}: ${message}`;
const button = (text, click, attributes) => h('button', {type: 'button', click, ...attributes}, text);

let lastID = 0;

// labelled is a control with its label, and what else belongs to it.
function labelled(control, label, ...more) {
	control.id = `e${++lastID}`;
	return h('div.field', 0, h('label', {for: control.id}, label), control, ...more);
}

// prose is a text in CommonMark, of which the page knows paragraphs, lists, `code`, **strong** and
// [links](https://example.com).
const prose = (text) => text && h('div.prose', 0, String(text).split(/\n\s*\n|\n(?=\s*[-*] )/).map((paragraph) =>
	p(paragraph.split(/(`[^`]+`|\*\*[^*]+\*\*|\[[^[\]]+\]\(https?:[^\s)]+\))/).map((part, i) => {
		if (i % 2 === 0) return part;
		if (part[0] === '`') return code(part.slice(1, -1));
		if (part[0] === '*') return h('strong', 0, part.slice(2, -2));
		const [label, href] = part.slice(1, -1).split('](');
		return h('a', {href}, label);
	}))));

// about is a description, unless the list of contents has all of it.
const about = ({summary, description}) => (summary || /\n/.test(description)) && prose(description);

// guarded is what make makes, or why it cannot: a document may be anything.
function guarded(make) {
	try {
		return make() ?? '';
	} catch (error) {
		return h('p.error', {role: 'alert'}, `The document is not as it should be here: ${error.message}`);
	}
}

// lazy is a disclosure whose content is made when it is first opened.
function lazy(name, summary, make) {
	const details = h(name, {toggle() {
		if (details.open && make) details.append(guarded(make));
		if (details.open) make = undefined;
	}}, h('summary', 0, summary));
	return details;
}

// block is a box of text that can be scrolled by keyboard, too.
const block = (label, content) => h('pre', {tabindex: 0, role: 'group', 'aria-label': label}, content);

// log is a list that is read out as it grows; it keeps the newest 200.
function log(label) {
	const list = h('div.log', {role: 'log', tabindex: 0, 'aria-label': label, hidden: true});
	list.add = (about, value) => {
		list.hidden = false;
		list.append(p(h('small', 0, `${new Date().toLocaleTimeString()} ${about}`), code(String(show(value)).slice(0, 1e5))));
		if (list.children.length > 200) list.firstChild.remove();
		list.scrollTop = list.scrollHeight;
	};
	list.clear = () => {
		list.hidden = true;
		list.replaceChildren();
	};
	return list;
}
