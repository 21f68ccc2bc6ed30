package page_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fill sets a control of the item that is open, by the beginning of its label, as a user's input
// would.
func (b *browser) fill(label, value string) {
	b.t.Helper()
	b.eval(`(() => {
		const label = `+
		`[...document.activeElement.closest('.item, main').querySelectorAll('label')].find((l) `+
		`=> l.textContent.startsWith('`+label+`'));
		label.control.value = `+"`"+value+"`"+`;
		label.control.dispatchEvent(new Event('input', {bubbles: true}));
		label.control.dispatchEvent(new Event('change', {bubbles: true}));
	})()`, nil)
}

// choose sets the files of a control of the item that is open.
func (b *browser) choose(name string, files ...string) {
	b.t.Helper()
	var found struct {
		Result struct {
			ObjectID string `json:"objectId"`
		} `json:"result"`
	}
	b.call("Runtime.evaluate",
		map[string]any{
			"expression": `document.activeElement.closest('.item').` +
				`querySelector('input[type=file][name=` + name + `]')`,
		}, &found)
	b.call("DOM.setFileInputFiles",
		map[string]any{"files": files, "objectId": found.Result.ObjectID}, nil)
}

// answer sends the form of the item that is open, waits for the answer, and returns its line and
// what is shown of it.
func (b *browser) answer() (line, body string) {
	b.t.Helper()
	b.submit()
	b.until(status +
		` !== 'Waiting …' && ` +
		`document.activeElement.form.querySelector('.buttons').lastChild.hidden`)
	return b.text(status + `.replace(/\d+ (ms|bytes)/g, 'n')`), b.text(shown)
}

// curl runs the line for the shell that the open item shows.
func (b *browser) curl() string {
	b.t.Helper()
	b.eval(
		`[...document.activeElement.form.querySelectorAll('details')].find((d) => `+
			`d.textContent.startsWith('curl')).open = true`, nil)
	b.until(
		`document.activeElement.form.querySelector('[aria-label=curl]').textContent.` +
			`startsWith('curl')`)
	line := b.text(`document.activeElement.form.querySelector('[aria-label=curl]').textContent`)
	out, err := exec.Command("bash", "-c", line+" --silent --show-error --max-time 10").Output()
	if err != nil {
		b.t.Errorf("%s: %v", line, err)
	}
	return string(out)
}

func TestPage_Requests(t *testing.T) {
	b, base := serve(t, newHandler(t))
	file := filepath.Join(t.TempDir(), "it's.png")
	if err := os.WriteFile(file, []byte("twelve bytes"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect := func(what, got, want string) {
		t.Helper()
		if !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q in it", what, got, want)
		}
	}
	b.open(base + "/docs#http%2FgetOrder")
	b.until(
		`document.activeElement.parentElement.id === 'http/getOrder' && ` +
			`document.activeElement.nextSibling`)

	line, body := b.answer()
	expect("the status", line, "200 OK · n · n")
	expect("the body", body, `"id": 7,`)
	b.fill("id", "404")
	line, body = b.answer()
	expect("the status", line, "404 Not Found · n · n · not in the document")
	expect("the body", body, "There is no such order.")
	b.fill("id", "a/b?c") // one segment, whatever it holds
	line, _ = b.answer()
	expect("the status", line, "422 Unprocessable Entity · n · n · fields that are wrong: 1")
	expect("what is beside the field", b.text(`document.activeElement.closest('.field').innerText`),
		"must be")

	b.follow("http/listOrders")
	b.fill("state", "paid")
	b.fill("tag", "it's\n$(echo no) & \"so\"")
	b.fill("meta", "color=a=b")
	b.fill("limit", "9")
	_, body = b.answer()
	const state = `"it's+$(echo no) & \"so\"paida=b"`
	expect("the body", body, state)
	expect("curl's body", b.curl(), state)

	b.follow("http/createOrder")
	b.fill("Body", `{"id": 1, "state": "it's", "items": []}`)
	_, body = b.answer()
	expect("the body", body, `"state": "it's"`)
	expect("curl's body", b.curl(), `"state":"it's"`)
	b.fill("Body", `{"id": `)
	line, _ = b.answer()
	expect("the status", line, "400 Bad Request")

	b.follow("http/upload")
	line, _ = b.answer()
	expect("the status", line, "fields that are wrong: 1")
	b.choose("picture", file)
	b.fill("title", "@not a file")
	_, body = b.answer()
	expect("the body", body, `it's.png has 12 bytes, title "@not a file"`)
	b.fill("Content type", "application/x-www-form-urlencoded")
	b.fill("title", "a&b=c")
	line, _ = b.answer()
	expect("the status", line, "422 Unprocessable Entity")

	b.follow("http/get-/picture")
	line, body = b.answer()
	expect("the status", line, "200 OK")
	expect("the body", body, "Save the body image/png")
	expect("what is saved",
		b.text(
			`fetch(document.activeElement.form.querySelector('a').href).then(() => 'read', () => `+
				`'not read: the policy is in force')`), "not read")

	b.follow("http/get-/ticks")
	b.submit()
	b.until(shown + `.includes('data: tick')`)
	b.eval(
		`[...document.activeElement.form.querySelectorAll('button')].find((button) => `+
			`button.textContent === 'Stop').click()`, nil)
	b.until(status + ` === 'Stopped.'`)

	b.mu.Lock()
	defer b.mu.Unlock()
	if others := slices.DeleteFunc(slices.Clone(b.problems),
		func(p string) bool {
			return strings.Contains(p, "Content Security Policy")
		}); len(b.problems) == 0 || len(others) > 0 {
		t.Errorf("the console has not just the policy's refusal: %s", b.problems)
	}
}

func TestPage_Credentials(t *testing.T) {
	b, base := serve(t, newHandler(t))
	b.open(base + "/docs")
	b.follow("http/get-/secret")
	if line, _ := b.answer(); !strings.HasPrefix(line, "401 ") {
		t.Errorf("without a token: %s", line)
	}
	b.eval(
		`document.querySelector('#about details').open = true, document.querySelector('#about `+
			`input').focus()`, nil)
	b.fill("basic: user", "ada")
	b.fill("basic: password", "é")
	b.follow("http/get-/secret")
	if line, _ := b.answer(); !strings.HasPrefix(line, "401 ") {
		t.Errorf("as another user: %s", line)
	}
	if curl := b.curl(); !strings.Contains(curl, "Log in first.") {
		t.Errorf("curl as another user: %s", curl)
	}
	b.eval(`document.querySelector('#about input').focus()`, nil)
	b.fill("token: bearer token", "s3cret")
	b.follow("http/get-/secret")
	if line, body := b.answer(); !strings.HasPrefix(line, "200 ") ||
		!strings.Contains(body, "the secret") {
		t.Errorf("with the token: %s, %s", line, body)
	}
	if curl := b.curl(); curl != "the secret" {
		t.Errorf("curl with the token: %s", curl)
	}
	// The socket logs in with the same token, and says when that is refused.
	b.follow("rpc/seen")
	if line, _ := b.answer(); !strings.HasPrefix(line, "Result") {
		t.Errorf("a call with the token: %s", line)
	}
	b.eval(`document.querySelector('#about input').focus()`, nil)
	b.fill("token: bearer token", "stolen")
	b.follow("rpc/seen")
	if line, _ := b.answer(); line != "No answer: UNAUTHENTICATED: no such session" {
		t.Errorf("a call with a stolen token: %s", line)
	}
	if kept := b.text(
		`JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])`); kept !=
		`[{},{},""]` {
		t.Errorf("the page keeps %s", kept)
	}
	b.quiet()
}

func TestPage_Methods(t *testing.T) {
	b, base := serve(t, newHandler(t))
	b.open(base + "/docs")
	b.follow("rpc/orders.create")
	for _, over := range []string{"WebSocket", "JSON-RPC by POST"} {
		b.fill("Over", over)
		b.fill("Params",
			`{"id": 9007199254740993, "state": "new", "items": [{"sku": "a", "count": 2}, `+
				`{"sku": "b", "count": 0}]}`)
		line, body := b.answer()
		if !strings.HasPrefix(line, "INVALID_PARAMS: ") ||
			!strings.Contains(body, `"pointer": "/items/1/count"`) {
			t.Errorf("%s: %s, %s", over, line, body)
		}
		if got := b.text(`document.querySelector('.error p').innerText`); got !=
			"Line 1 /items/1/count: must be at least 1" {
			t.Errorf("%s: beside the params is %q", over, got)
		}
		b.fill("Params", `{"id": 9007199254740993, "state": "new", "items": []}`)
		if line, body := b.answer(); !strings.HasPrefix(line, "Result") ||
			!strings.Contains(body, "9007199254740993") {
			t.Errorf("%s: %s, %s", over, line, body)
		}
		b.fill("Params", `{"id": `)
		if line, _ := b.answer(); line != "No answer: the params are not JSON" {
			t.Errorf("%s: %s", over, line)
		}
	}
	b.follow("rpc/seen")
	for _, over := range []string{"WebSocket", "JSON-RPC by POST"} {
		b.fill("Over", over)
		if line, _ := b.answer(); !strings.HasPrefix(line, "Result") {
			t.Errorf("a notification over %s: %s", over, line)
		}
	}
	b.open(base + "/only")
	if got := b.text(`document.title + document.querySelectorAll('form').length`); got !=
		"Nothing to try0" {
		t.Errorf("without addresses to call there is %s", got)
	}
	b.quiet()
}

// Behind a proxy that takes a prefix away everything is found, from a page that is mounted deeper,
// too.
func TestPage_BehindAPrefix(t *testing.T) {
	app := httptest.NewServer(newHandler(t))
	t.Cleanup(app.Close)
	target, err := url.Parse(app.URL)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/outer/prefix/",
		http.StripPrefix("/outer/prefix",
			&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(target)
				r.Out.Host = r.In.Host
			}}))
	b, base := serve(t, mux)
	for _, path := range []string{"/outer/prefix/docs", "/outer/prefix/deep/down/docs/"} {
		b.open(base + path)
		b.follow("http/getOrder")
		if line, _ := b.answer(); !strings.HasPrefix(line, "200 OK") {
			t.Errorf("%s: GET is answered %s", path, line)
		}
		b.follow("rpc/seen")
		if line, _ := b.answer(); !strings.HasPrefix(line, "Result") {
			t.Errorf("%s: a call is answered %s", path, line)
		}
	}
	b.quiet()
}

func TestPage_Filter(t *testing.T) {
	b, base := serve(t, newHandler(t))
	b.open(base + "/docs")
	b.tabTo(" input Filter")
	b.typeText("ORD post")
	b.until(`document.getElementById('shown').textContent === '1 of 13'`)
	if got := b.text(
		`[...document.querySelectorAll('.item, nav li, h2, nav div p')].filter((e) => ` +
			`e.checkVisibility()).map((e) => e.innerText.trim().replace(/\s+/g, ' ` +
			`')).join('|')`); got != "orders|POST /orders|orders|POST /orders Create an order" {
		t.Errorf("what is left is %s", got)
	}
	b.typeText("no such thing")
	b.until(`document.getElementById('shown').textContent === '0 of 13'`)
	b.press("a", 2)
	b.press("Delete", 0)
	b.until(`document.getElementById('shown').textContent === ''`)
	b.tabTo(" a GET /orders/{id}")
	b.press("Enter", 0)
	b.until(
		`document.activeElement.parentElement.id === 'http/getOrder' && location.hash === ` +
			`'#http%2FgetOrder'`)
	b.quiet()
}

// What the server does to a connection is told where it matters, and what comes next connects
// again.
func TestPage_ConnectionEnds(t *testing.T) {
	b, base := serve(t, newHandler(t))
	b.open(base + "/docs")
	b.follow("rpc/wait")
	b.submit()
	b.until(shown + `.includes('"waiting"')`)
	b.eval(
		`[...document.activeElement.form.querySelectorAll('button')].find((button) => `+
			`button.textContent === 'Stop').click()`, nil)
	b.until(status + `.startsWith('CANCELLED: ')`)

	b.follow("channel/orders.token1")
	b.fill("token1", "eu")
	b.fill("Params", "")
	if line, _ := b.answer(); line != "Subscribed to orders.eu." {
		t.Fatal(line)
	}
	b.eval(`window.form = document.activeElement.form`, nil)
	b.follow("rpc/leave")
	if line, _ := b.answer(); !strings.HasPrefix(line,
		"CLOSED: the connection closed with 4403 go away") {
		t.Errorf("a call meanwhile: %s", line)
	}
	if got := b.text(`form.querySelector('.status').textContent`); got !=
		"CLOSED: the connection closed with 4403 go away. Events: 0." {
		t.Errorf("the subscription: %s", got)
	}
	if got := b.text(
		`[...document.querySelectorAll('[aria-label="Notifications of the server"] p')].map((p) ` +
			`=> p.innerText).join()`); !strings.Contains(got, `"come back"`) {
		t.Errorf("the notification is shown as %q", got)
	}
	b.follow("channel/orders.token1")
	if line, _ := b.answer(); line != "Subscribed to orders.eu." {
		t.Errorf("subscribing again: %s", line)
	}
	b.fill("token1", "no good")
	if line, _ := b.answer(); !strings.HasPrefix(line, "INVALID_REQUEST: ") {
		t.Errorf("a bad name: %s", line)
	}
	b.fill("Params", "{")
	if line, _ := b.answer(); line != "No answer: the params are not JSON" {
		t.Errorf("params that are not JSON: %s", line)
	}
	b.quiet()
}

// A socket that describes itself is asked for its documents, and again with other credentials.
func TestPage_AsksTheSocket(t *testing.T) {
	b, base := serve(t, newHandler(t))
	b.load(base + "/asking#rpc%2Fseen")
	b.until(
		`document.getElementById('state').textContent === 'The WebSocket: log in to see ` +
			`the methods'`)
	b.eval(
		`document.querySelector('#about details').open = true, document.querySelector('#about `+
			`input').focus()`, nil)
	b.fill("token: bearer token", "s3cret")
	b.until(
		`document.activeElement.parentElement.id === 'rpc/seen' && ` +
			`document.activeElement.nextSibling`)
	if line, _ := b.answer(); !strings.HasPrefix(line, "Result") {
		t.Errorf("a call is answered %s", line)
	}
	if got := b.text(
		`document.querySelectorAll('[id="channel/orders.token1"]').length + ` +
			`document.getElementById('state').textContent`); got != "1" {
		t.Errorf("the channels and the state are %q", got)
	}
	b.quiet()
}
