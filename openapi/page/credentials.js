// Credentials stay in these controls: they are never stored, and gone with the page.

const credentials = new Map(); // by the name of the security scheme, each a function

function credentialForm([name, scheme], change) {
	const input = (type) => h('input', {type, autocomplete: 'off', spellcheck: 'false', change}), user = input('text'), secret = input('password');
	const header = (value) => ({in: 'header', name: 'Authorization', value});
	const kind = scheme.type === 'http' ? String(scheme.scheme).toLowerCase() : scheme.type;
	const form = (get, ...controls) => {
		credentials.set(name, get);
		return h('form', {autocomplete: 'off', submit: (event) => event.preventDefault()}, controls);
	};
	if (kind === 'basic') {
		return form(() => user.value && header(`Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${user.value}:${secret.value}`)))}`),
			labelled(user, `${name}: user`), labelled(secret, `${name}: password`));
	}
	if (kind === 'apiKey' && scheme.in !== 'cookie') return form(() => secret.value && {...scheme, value: secret.value}, labelled(secret, `${name}: ${scheme.in} ${scheme.name}`));
	if (/^(bearer|oauth2|openIdConnect)$/.test(kind)) return form(() => secret.value && {...header(`Bearer ${secret.value}`), token: secret.value}, labelled(secret, `${name}: bearer token`));
	return p(`${name}: the browser sends it by itself if it has it.`);
}

const credential = (name) => credentials.get(name)?.();

// bearer is the token for the WebSocket and for JSON-RPC.
const bearer = () => [...credentials.keys()].map((name) => credential(name)?.token).find(Boolean);

// credentialsFor are those of the first alternative of which there are all, else of the first.
function credentialsFor(security) {
	const found = list(security).map((scheme) => Object.keys(scheme).map(credential));
	return (found.find((all) => all.length && all.every(Boolean)) ?? found[0] ?? []).filter(Boolean);
}
