// The controls of the forms, each with its label, and what is wrong with it beside it.

// field makes a control for a value of the schema. Its values() are the texts or files to send, none
// when nothing was entered.
function field(doc, {in: where, name, schema, required, example, file, json, style}) {
	const s = resolve(doc, schema), [type] = typesOf(s), error = h('div.error', {id: `e${++lastID}`});
	const attributes = {name, 'aria-describedby': error.id, autocomplete: 'off', spellcheck: 'false', required: required && /path|address/.test(where)};
	const choices = s.enum ?? (type === 'boolean' && [true, false]);
	const text = (value) => (typeof value === 'string' ? value : show(value) ?? '');
	let hint = where, input;
	const deep = style === 'deepObject', lines = deep || !json && type === 'array';
	json = !lines && (json || type === 'object');
	if (file) {
		input = h('input', {...attributes, type: 'file', multiple: type === 'array'});
	} else if (choices) {
		input = h('select', attributes, !required && h('option', {value: ''}, 'not sent'), list(choices).map((v) => h('option', 0, text(v))));
		input.value = text(example ?? (required ? s.default ?? choices[0] : ''));
	} else if (json || lines) {
		hint = some(where, json ? 'JSON' : `${deep ? 'name=value, ' : ''}one a line`).join(', ');
		input = h('textarea', attributes);
		input.value = lines ? list(example).map(text).join('\n') : show(example, 2) ?? '';
		input.rows = Math.min(18, input.value.split('\n').length + 1);
	} else {
		input = h('input', {...attributes, type: s.format === 'password' ? 'password' : 'text', inputmode: type === 'integer' && 'numeric', placeholder: text(s.default)});
		input.value = text(example);
	}
	return {
		in: where, name, json, input, error,
		element: labelled(input, [name, required && h('strong.required', 0, ' required'), h('small', 0, ` ${hint ?? ''}`)], error),
		values: () => (file ? [...input.files] : (lines ? input.value.split('\n') : [input.value]).filter(Boolean)),
	};
}

function clearErrors(fields) {
	for (const {input, error} of fields) {
		input.removeAttribute('aria-invalid');
		error.replaceChildren();
	}
}

// setErrors puts errors, as problems and details of WSX hold them, beside the fields that they name,
// goes to the first, and returns how many there were. In JSON it finds and selects the place.
function setErrors(fields, errors) {
	let first;
	const found = list(errors).filter(({in: where, pointer, detail}) => {
		const keys = keysOf(pointer ?? ''), inBody = /^(body)?$/.test(where ?? '');
		const f = fields.find((f) => f.name.toLowerCase() === keys[0]?.toLowerCase() && (f.in === where || inBody && f.in === 'form')) ?? fields.find((f) => f.json && inBody && !f.in);
		if (!f) return false;
		let line, go = () => f.input.focus();
		if (f.json) {
			const {value} = f.input, [start, end] = place(value, keys);
			line = value.slice(0, start).split('\n').length;
			go = () => {
				f.input.focus();
				f.input.setSelectionRange(start, end);
			};
		}
		f.input.setAttribute('aria-invalid', 'true');
		f.error.append(p(line && [button(`Line ${line}`, go), ` ${pointer || 'all of it'}: `], detail));
		first ??= go;
		return true;
	});
	first?.();
	return found.length;
}

function place(text, keys) {
	try {
		return locate(text, keys);
	} catch {
		return [0, text.length];
	}
}

// callForm is a form whose button calls run; while that runs another one stops it. The answer comes
// below: a line that is read out, and what there is to look at.
function callForm(verb, fields, run, more, input) {
	let running;
	const start = h('button.primary', {type: 'submit'}, verb), stop = button('Stop', () => running?.abort(), {hidden: true});
	const status = h('p.status', {role: 'status'}), output = h('div', 0);
	const say = (text, bad) => {
		status.textContent = text;
		status.className = bad ? 'status bad' : 'status';
	};
	return h('form.try', {autocomplete: 'off', input, change: input, async submit(event) {
		event.preventDefault();
		if (running) return;
		running = new AbortController();
		stop.hidden = false;
		say('Waiting …');
		output.replaceChildren();
		try {
			await run({say, output, signal: running.signal});
		} catch (error) {
			say(running.signal.aborted ? 'Stopped.' : `No answer: ${error.message}`, true);
		}
		if (document.activeElement === stop) start.focus();
		stop.hidden = true;
		running = undefined;
	}}, h4('Try it'), fields, h('div.buttons', 0, start, stop), more, status, output);
}
