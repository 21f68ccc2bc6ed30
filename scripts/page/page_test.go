package page_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// serve starts the app and a browser, unless `make page` is not what runs this. The console must be
// quiet at the end.
func serve(t *testing.T, handler http.Handler) (*browser, string) {
	t.Helper()
	if os.Getenv("PAGE_AXE") == "" {
		t.Skip("make page runs it, with chromium and axe-core")
	}
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	b := startBrowser(t)
	b.look(1400, 900, "light")
	return b, srv.URL
}

// status is the line about the answer in the form that has the focus, and shown all that is below
// the form.
const (
	status = `document.activeElement.form.querySelector('.status').textContent`
	shown  = `document.activeElement.form.lastChild.innerText`
)

// A user without a mouse: requests, a mistake and its mending, a call, a subscription.
func TestPage_Keyboard(t *testing.T) {
	b, base := serve(t, newHandler(t))
	b.open(base + "/docs")

	b.press("Tab", 0)
	if at := b.text(focused); at != " a Skip to the content" {
		t.Fatalf("the first Tab goes to %q", at)
	}
	b.press("Enter", 0)
	b.tabTo("http/listOrders summary")
	b.press("Enter", 0)
	b.tabTo("http/listOrders textarea tag")
	b.typeText("a\nb c")
	b.tabTo("http/listOrders input limit")
	b.typeText("7")
	b.press("Enter", 0)
	b.until(status + `.startsWith('200 OK · ')`)
	if got := b.text(shown); !strings.Contains(got,
		"[\n  {\n    \"id\": 7,\n    \"state\": \"a+b c\",") {
		t.Errorf("the answer is %s", got)
	}

	b.tabTo("http/createOrder summary")
	b.press("Enter", 0)
	b.tabTo("http/createOrder button Send")
	b.press(" ", 0)
	b.until(`document.activeElement.ariaInvalid === 'true'`)
	for expression, want := range map[string]string{
		`document.getElementById(document.activeElement.` +
			`getAttribute('aria-describedby')).innerText`: "Line 7 /items/0/count: must be " +
			"at least 1",
		`getSelection().toString()`: "0",
		status +
			`.replace(/\d+ (ms|bytes)/g, 'n')`: "422 Unprocessable Entity · n · n · fields that " +
			"are wrong: 1",
	} {
		if got := strings.Join(strings.Fields(b.text(expression)), " "); got != want {
			t.Errorf("%s is %q, want %q", expression, got, want)
		}
	}
	b.press("3", 0) // in place of what is selected
	b.tabTo("http/createOrder button Send")
	b.press("Enter", 0)
	b.until(status + `.startsWith('200 OK · ')`)
	if got := b.text(shown); !strings.Contains(got, `"id": 9007199254740993`) ||
		!strings.Contains(got, `"count": 3`) {
		t.Errorf("the answer is %s", got)
	}
	if b.text(`document.querySelectorAll('[aria-invalid], .error p').length`) != "0" {
		t.Error("the mistake is mended, and still marked")
	}

	b.tabTo("rpc/count summary")
	b.press("Enter", 0)
	b.tabTo("rpc/count textarea Params")
	b.typeText(`{"to": 3}`)
	b.tabTo("rpc/count button Call")
	b.press("Enter", 0)
	b.until(status + `.startsWith('Result · ')`)
	if got := b.text(shown); strings.Count(got, " item ") != 3 ||
		!strings.HasSuffix(strings.TrimSpace(got), "3") {
		t.Errorf("the stream and its result are %s", got)
	}

	b.tabTo("channel/orders.token1 summary")
	b.press("Enter", 0)
	b.tabTo("channel/orders.token1 input token1")
	b.typeText("eu")
	b.press("Enter", 0)
	b.until(status + ` === 'Subscribed to orders.eu.'`)
	b.eval(`window.log = document.activeElement.form.querySelector('[role=log]')`, nil)
	b.tabBackTo("rpc/orders.create summary")
	b.press("Enter", 0)
	b.tabTo("rpc/orders.create textarea Params")
	b.typeText(`{"id": 0, "state": "sent", "items": []}`)
	b.tabTo("rpc/orders.create button Call")
	b.press("Enter", 0)
	b.until(status + `.startsWith('Result · ') && log.children.length === 1`)
	if got := b.text(`log.innerText`); !strings.Contains(got, "orders.eu, offset 2") ||
		!strings.Contains(got, `{"id":9007199254740993,"state":"sent","items":[]}`) {
		t.Errorf("the event is %s", got)
	}
	b.tabTo("channel/orders.token1 button Unsubscribe")
	b.press("Enter", 0)
	b.until(status + ` === 'Unsubscribed. Events: 1.'`)
	if got := b.text(focused); got != "channel/orders.token1 button Subscribe" {
		t.Errorf("the focus of the button that is gone is at %q", got)
	}
	b.quiet()
}

// What can be reached by Tab is everything that can be used.
func TestPage_TabReachesEverything(t *testing.T) {
	b, base := serve(t, newHandler(t))
	b.open(base + "/docs")
	b.openEverything()
	// The browser jumps over what is invisible; an element is marked when it has had the focus.
	b.eval(
		`document.body.focus(), addEventListener('focusin', (event) => `+
			`event.target.setAttribute('data-reached', ''))`, nil)
	const usable = `[...document.querySelectorAll('a, button, input, select, textarea, summary, ` +
		`[tabindex="0"]')].filter((e) => e.checkVisibility())`
	for range 400 {
		b.press("Tab", 0)
		if b.text(`document.activeElement === document.body`) == "true" {
			break
		}
	}
	if b.text(usable+`.length > 100`) != "true" {
		t.Error("there are hardly any controls")
	}
	if left := b.text(usable +
		`.filter((e) => !('reached' in e.dataset)).map((e) => e.outerHTML.slice(0, ` +
		`100)).join('\n')`); left != "" {
		t.Errorf("Tab does not come to\n%s", left)
	}
	if small := b.text(usable +
		`.filter((e) => !e.matches('.skip, .prose a') && e.getBoundingClientRect().height < ` +
		`20).map((e) => e.outerHTML.slice(0, 100)).join('\n')`); small != "" {
		t.Errorf("small targets:\n%s", small)
	}
	b.quiet()
}

// Axe-core finds nothing, whatever is open and however it looks. The pictures are for people to
// look at.
func TestPage_Accessible(t *testing.T) {
	b, base := serve(t, newHandler(t))
	axe, err := os.ReadFile(os.Getenv("PAGE_AXE"))
	if err != nil {
		t.Fatal(err)
	}
	for _, look := range []struct {
		name          string
		width, height int
		scheme        string
	}{{"light", 1400, 1000, "light"}, {"dark", 1400, 1000, "dark"}, {"narrow", 320, 740, "light"}} {
		t.Run(look.name, func(t *testing.T) {
			b.t = t
			b.look(look.width, look.height, look.scheme)
			b.open(base + "/docs")
			b.eval(string(axe)+"; true", nil)
			const run = `axe.run().then(({violations}) => violations.map((v) => v.id + ': ' + ` +
				`v.help + '\n' +
				v.nodes.map((n) => '  ' + n.html.slice(0, 200) + ' ' + ` +
				`n.failureSummary).join('\n')).join('\n'))`
			check := func(state string) {
				t.Helper()
				b.screenshot(look.name + "-" + state)
				if violations := b.text(run); violations != "" {
					t.Errorf("%s: axe-core finds\n%s", state, violations)
				}
				if b.text(`document.documentElement.scrollWidth > innerWidth`) == "true" {
					t.Errorf("%s: it is wider than the window: %s", state,
						b.text(
							`[...document.querySelectorAll('*')].filter((e) => `+
								`e.getBoundingClientRect().right > innerWidth + 1).map((e) => `+
								`e.outerHTML.slice(0, 80)).join('\n')`))
				}
			}
			check("start")
			b.follow("http/createOrder")
			b.submit()
			b.until(`document.querySelector('[aria-invalid]')`)
			b.screenshot(look.name + "-problem")
			b.openEverything()
			b.follow("rpc/count")
			b.eval(
				`document.activeElement.closest('.item').querySelector('textarea').value = `+
					`'{"to": 2}'`, nil)
			b.submit()
			b.until(status + `.startsWith('Result')`)
			b.screenshot(look.name + "-call")
			b.follow("channel/orders.token1")
			b.eval(`document.activeElement.closest('.item').querySelector('input').value = 'eu'`,
				nil)
			b.submit()
			b.until(status + `.startsWith('Subscribed')`)
			b.eval(
				`for (let i = 0; i < 3; i++) fetch('orders', {method: 'POST', headers: `+
					`{'Content-Type': 'application/json'}, body: `+
					`'{"id":1,"state":"new","items":[]}'})`, nil)
			b.until(`document.activeElement.form.querySelectorAll('[role=log] p').length === 3`)
			check("events") // and with all that came before
			b.eval(`document.getElementById('about').append(document.createElement('input'))`, nil)
			if violations := b.text(run); !strings.HasPrefix(violations, "label: ") {
				t.Errorf("a control without a label is, for axe-core, %q", violations)
			}
		})
	}
	b.t = t
	b.quiet()
}
