package page_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// browser is one page of a headless Chromium, driven over the DevTools protocol
// (https://chromedevtools.github.io/devtools-protocol/).
type browser struct {
	t       *testing.T
	ctx     context.Context
	conn    *websocket.Conn
	session string

	mu       sync.Mutex
	lastID   int
	calls    map[int]chan answer
	events   map[string]chan struct{}
	problems []string // what the console says, but for the statuses of answers
}

// quietEntry are entries of the console that are no fault: that an answer was an error, and advice.
var quietEntry = regexp.MustCompile(`"source":"network"|"level":"verbose"`)

type answer struct {
	Result jsontext.Value           `json:"result"`
	Error  struct{ Message string } `json:"error"`
}

// startBrowser starts Chromium with an empty page, and ends it with the test.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	b := &browser{
		t: t, ctx: t.Context(), calls: make(map[int]chan answer),
		events: make(map[string]chan struct{}),
	}
	args := []string{
		"--headless=new", "--remote-debugging-port=0",
		"--user-data-dir=" + t.TempDir(), "--no-first-run", "--disable-gpu",
		"--disable-dev-shm-usage", "--disable-extensions", "--lang=en",
	}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // which root cannot have
	}
	cmd := exec.Command("chromium", append(args, "about:blank")...)
	// so that its processes can be ended together
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := make(chan string, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		defer close(address)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if url, ok := strings.CutPrefix(lines.Text(), "DevTools listening on "); ok {
				address <- url
			}
		}
	}()
	read := make(chan struct{})
	t.Cleanup(func() {
		if b.conn != nil {
			_ = b.conn.CloseNow()
			<-read
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		// they all have it open, and write into the folder of the test until they are gone
		<-drained
		_ = cmd.Wait()
	})
	url, ok := <-address
	if !ok {
		t.Fatal("chromium does not start")
	}
	conn, _, err := websocket.Dial(b.ctx, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(64 << 20)
	b.conn = conn
	go func() {
		defer close(read)
		b.readAll()
	}()

	var target struct {
		TargetID string `json:"targetId"`
	}
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true},
		&attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

func (b *browser) readAll() {
	for {
		_, text, err := b.conn.Read(context.Background())
		if err != nil {
			return
		}
		var m struct {
			answer `json:",inline"`
			ID     int            `json:"id"`
			Method string         `json:"method"`
			Params jsontext.Value `json:"params"`
		}
		if err := json.Unmarshal(text, &m); err != nil {
			b.t.Errorf("DevTools: %v", err)
			return
		}
		b.mu.Lock()
		if call := b.calls[m.ID]; call != nil {
			delete(b.calls, m.ID)
			call <- m.answer
		}
		if event := b.events[m.Method]; event != nil {
			delete(b.events, m.Method)
			close(event)
		}
		switch {
		case m.Method == "Log.entryAdded" && !quietEntry.Match(m.Params),
			m.Method == "Runtime.consoleAPICalled", m.Method == "Runtime.exceptionThrown":
			b.problems = append(b.problems, string(m.Params))
		}
		b.mu.Unlock()
	}
}

// call calls a method of the protocol.
func (b *browser) call(method string, params map[string]any, result any) {
	b.t.Helper()
	reply := make(chan answer, 1)
	b.mu.Lock()
	b.lastID++
	id := b.lastID
	b.calls[id] = reply
	b.mu.Unlock()
	request := map[string]any{"id": id, "method": method, "params": params}
	if params == nil {
		request["params"] = map[string]any{}
	}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	text, err := json.Marshal(request)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.conn.Write(b.ctx, websocket.MessageText, text); err != nil {
		b.t.Fatal(err)
	}
	select {
	case a := <-reply:
		if a.Error.Message != "" {
			b.t.Fatalf("%s: %s", method, a.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(a.Result, result); err != nil {
				b.t.Fatal(err)
			}
		}
	case <-b.ctx.Done():
		b.t.Fatalf("%s: %v", method, b.ctx.Err())
	}
}

// open loads a page and waits until it lists what its documents have.
func (b *browser) open(url string) {
	b.t.Helper()
	b.load(url)
	b.until(
		`document.querySelector('.item') && document.getElementById('state').textContent === ''`)
}

func (b *browser) load(url string) {
	b.t.Helper()
	loaded := make(chan struct{})
	b.mu.Lock()
	b.events["Page.loadEventFired"] = loaded
	b.mu.Unlock()
	// a new hash alone would load nothing
	b.call("Page.navigate", map[string]any{"url": "about:blank"}, nil)
	<-loaded
	loaded = make(chan struct{})
	b.mu.Lock()
	b.events["Page.loadEventFired"] = loaded
	b.mu.Unlock()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	<-loaded
}

// look sets the size of the window and the user's preferences.
func (b *browser) look(width, height int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride",
		map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false},
		nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]any{
		{"name": "prefers-color-scheme", "value": scheme},
		{"name": "prefers-reduced-motion", "value": "reduce"},
	}}, nil)
}

// eval is the value of an expression, or of its promise.
func (b *browser) eval(expression string, value any) {
	b.t.Helper()
	var result struct {
		Result struct {
			Value jsontext.Value `json:"value"`
		} `json:"result"`
		ExceptionDetails jsontext.Value `json:"exceptionDetails"`
	}
	b.call("Runtime.evaluate",
		map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true},
		&result)
	if result.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, result.ExceptionDetails)
	}
	if value != nil {
		if err := json.Unmarshal(result.Result.Value, value); err != nil {
			b.t.Fatalf("%s: %v", expression, err)
		}
	}
}

func (b *browser) text(expression string) string {
	b.t.Helper()
	var s string
	b.eval("Promise.resolve("+expression+").then(String)", &s)
	return s
}

// until waits for a condition, which it looks at whenever the document changes.
func (b *browser) until(condition string) {
	b.t.Helper()
	var what string
	b.eval(fmt.Sprintf(`new Promise((done) => {
		const check = () => (%s) && (observer.disconnect(), done('yes'));
		const observer = new MutationObserver(check);
		observer.observe(document, `+
		`{subtree: true, childList: true, attributes: true, characterData: true});
		setTimeout(() => done(document.body.innerText), 60000);
		check();
	})`, condition), &what)
	if what != "yes" {
		b.t.Fatalf("%s does not come true; the page is\n%s", condition, what)
	}
}

var keyCodes = map[string]int{
	"Tab": 9, "Enter": 13, " ": 32, "ArrowDown": 40, "Delete": 46,
	"a": 65,
}

// press presses a key; modifiers are 2 for Ctrl, 8 for Shift.
func (b *browser) press(key string, modifiers int) {
	b.t.Helper()
	text := key
	switch {
	case key == "Enter":
		text = "\r"
	case len(key) > 1 || modifiers == 2:
		text = ""
	}
	event := map[string]any{
		"type": "keyDown", "key": key, "text": text, "modifiers": modifiers,
		"windowsVirtualKeyCode": keyCodes[key],
	}
	if key == "a" && modifiers == 2 {
		event["commands"] = []string{"selectAll"}
	}
	b.call("Input.dispatchKeyEvent", event, nil)
	event["type"] = "keyUp"
	delete(event, "text")
	delete(event, "commands")
	b.call("Input.dispatchKeyEvent", event, nil)
}

// type types a text in place of what the control has.
func (b *browser) typeText(text string) {
	b.t.Helper()
	b.press("a", 2)
	b.press("Delete", 0)
	for _, r := range text {
		if r == '\n' {
			b.press("Enter", 0)
		} else {
			b.press(string(r), 0)
		}
	}
}

// focused is who has the focus: the id of the item it is in, its kind and its name.
const focused = `(() => {
	const e = document.activeElement, item = e.closest('.item')?.id ?? '';
	const name = e.getAttribute('aria-label') ?? e.labels?.[0]?.firstChild.textContent ?? ` +
	`e.textContent;
	return item + ' ' + e.localName + ' ' + name.trim().replace(/\s+/g, ' ');
})()`

// tabTo presses Tab until the focus is where it is wanted, by the beginning of what focused says.
func (b *browser) tabTo(want string) {
	b.t.Helper()
	b.tab(want, 0)
}

func (b *browser) tab(want string, modifiers int) {
	b.t.Helper()
	var passed []string
	for range 150 {
		b.press("Tab", modifiers)
		at := b.text(focused)
		if strings.HasPrefix(at, want) {
			return
		}
		passed = append(passed, at)
	}
	b.t.Fatalf("Tab does not come to %q, but to\n%s", want, strings.Join(passed, "\n"))
}

// screenshot keeps a picture of the page where PAGE_SCREENSHOTS says.
func (b *browser) screenshot(name string) {
	b.t.Helper()
	dir := os.Getenv("PAGE_SCREENSHOTS")
	if dir == "" {
		return
	}
	var shot struct {
		Data []byte `json:"data"`
	}
	b.call("Page.captureScreenshot",
		map[string]any{"format": "png", "captureBeyondViewport": false}, &shot)
	if err := os.WriteFile(filepath.Join(dir, name+".png"), shot.Data, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// quiet fails when the console has anything to say, such as a violation of the policy.
func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Errorf("console: %s", p)
	}
	b.problems = nil
}

// tabBackTo is tabTo in the other direction.
func (b *browser) tabBackTo(want string) {
	b.t.Helper()
	b.tab(want, 8)
}

// follow goes to an item by its address, as a link does.
func (b *browser) follow(id string) {
	b.t.Helper()
	b.eval("location.hash = '', location.hash = encodeURIComponent('"+id+"')", nil)
	b.until("document.activeElement.parentElement.id === '" + id +
		"' && document.activeElement.nextSibling")
}

// submit sends the form of the item that has the focus, which goes to its button.
func (b *browser) submit() {
	b.t.Helper()
	b.eval(`(() => {
		const button = document.activeElement.closest('.item').querySelector('.primary');
		button.focus();
		button.click();
	})()`, nil)
}

// openEverything opens what can be opened, and what is in there, except for types in themselves.
func (b *browser) openEverything() {
	b.t.Helper()
	b.eval(`(async () => {
		for (let i = 0; i < 3; i++) {
			await `+
		`Promise.all([...document.querySelectorAll('details:not([open])')].map((details) => new `+
		`Promise((done) => {
				details.addEventListener('toggle', done, {once: true});
				details.open = true;
			})));
		}
	})()`, nil)
}
