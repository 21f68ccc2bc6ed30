package openapi_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/openapi"
)

// ask sends a request without a body to a page.
func ask(t *testing.T, page http.Handler, method, target string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	page.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, resp *http.Response) string {
	t.Helper()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(b.String(), "\r\n\r\n")
	return text
}

var everything = openapi.PageOptions{
	Title: "Orders & more", OpenAPI: "/openapi.json", OpenRPC: "openrpc.json",
	AsyncAPI:  "https://docs.example/asyncapi.json",
	WebSocket: "/ws", JSONRPC: "/rpc",
	Servers: []string{"https://api.example:8443/v1", "https://docs.example"},
}

func TestPage_IsSmallAndWhole(t *testing.T) {
	resp := ask(t, openapi.Page(&everything), http.MethodGet, "/a/b/docs")
	text := body(t, resp)
	if n := len(text); n >= 40_000 {
		t.Errorf("the page has %d bytes, want less than 40,000", n)
	}
	if resp.StatusCode != http.StatusOK ||
		resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("the answer is %d, %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	if !strings.Contains(text, "<title>Orders &amp; more</title>") {
		t.Error("the title is not there, escaped")
	}
	for _, other := range []string{
		"<script src", "<link rel=\"stylesheet", "@import", "url(",
		"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage",
		"sessionStorage", "{{",
	} {
		if strings.Contains(text, other) {
			t.Errorf("the page has %q", other)
		}
	}
}

// What the policy allows is exactly the page's own script and style: their bytes are in the page.
func TestPage_Policy(t *testing.T) {
	resp := ask(t, openapi.Page(&everything), http.MethodGet, "/docs")
	policy, text := resp.Header.Get("Content-Security-Policy"), body(t, resp)
	for name, inline := range map[string]*regexp.Regexp{
		"script-src": regexp.MustCompile(`(?s)<script type="module">(.*?)</script>`),
		"style-src":  regexp.MustCompile(`(?s)<style>(.*?)</style>`),
	} {
		found := inline.FindAllStringSubmatch(text, -1)
		if len(found) != 1 {
			t.Fatalf("%s: %d elements", name, len(found))
		}
		sum := sha256.Sum256([]byte(found[0][1]))
		if want := name + " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
			"'; "; !strings.Contains(policy, want) {
			t.Errorf("the policy is %q, and has no %s", policy, want)
		}
	}
	for _, want := range []string{
		"default-src 'none'; ", "; base-uri 'none'; ", "; form-action 'none'; ",
		"; frame-ancestors 'none'; ", "; require-trusted-types-for 'script'; ",
		"; connect-src 'self' https://api.example:8443 https://docs.example; ",
	} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy is %q, and has no %q", policy, want)
		}
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff",
		"Referrer-Policy":        "no-referrer", "Cache-Control": "no-cache",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestPage_ConnectsToWebSocketElsewhere(t *testing.T) {
	for socket, want := range map[string]string{
		"https://live.example/ws": "connect-src 'self' wss://live.example;",
		"ws://live.example":       "connect-src 'self' ws://live.example;",
		"ws":                      "connect-src 'self';",
		"//live.example/ws":       "connect-src 'self' live.example;",
	} {
		policy := ask(t, openapi.Page(&openapi.PageOptions{WebSocket: socket}), http.MethodGet,
			"/").Header.Get("Content-Security-Policy")
		if !strings.Contains(policy, want) {
			t.Errorf("%s: the policy is %q, want %q in it", socket, policy, want)
		}
	}
}

// A path of the app is found from wherever the page is, by a relative URL: so a prefix that is
// taken away before the app, which never sees it, stays.
func TestPage_FindsTheAppFromAnyPath(t *testing.T) {
	page := openapi.Page(&everything)
	mux := http.NewServeMux()
	mux.Handle("/below/", http.StripPrefix("/below", page))
	mux.Handle("/slashes/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = strings.TrimSuffix(r.URL.Path, "/")
		page.ServeHTTP(w, r)
	}))
	mux.Handle("/", page)
	for _, tc := range []struct{ path, root string }{
		{"/", "./"},
		{"/docs", "./"},
		{"/docs/", "./../"},
		{"/api/v1/docs", "./../../"},
		{"/docs%2Fx", "./"},
		{"/below/", "./"},
		{"/below/docs", "./"},
		{"/below/docs/", "./../"},
		{"/slashes/docs/", "./../../"},
		{"http://app.example/docs/", "./../"},
	} {
		text := body(t, ask(t, mux, http.MethodGet, tc.path))
		for _, want := range []string{
			`data-root="` + tc.root + `"`, `data-web-socket="` + tc.root + `ws"`,
			`data-json-rpc="` + tc.root + `rpc"`,
			`<a href="` + tc.root + `openapi.json">OpenAPI</a>`,
			`<a href="openrpc.json">OpenRPC</a>`,
			`<a href="https://docs.example/asyncapi.json">AsyncAPI</a>`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the page has no %s", tc.path, want)
			}
		}
	}
}

func TestPage_NilOptions(t *testing.T) {
	text := body(t, ask(t, openapi.Page(nil), http.MethodGet, "/docs"))
	if !strings.Contains(text, `<a href="./openapi.json">OpenAPI</a>`) ||
		strings.Contains(text, "OpenRPC</a>") || !strings.Contains(text, "<title>API</title>") {
		t.Error("nil options are not the document at /openapi.json alone")
	}
}

func TestPage_IsKept(t *testing.T) {
	page := openapi.Page(&everything)
	tag := ask(t, page, http.MethodGet, "/docs").Header.Get("ETag")
	if tag == "" {
		t.Fatal("no ETag")
	}
	if resp := ask(t, page, http.MethodGet, "/docs", "If-None-Match", tag); resp.StatusCode !=
		http.StatusNotModified || body(t, resp) != "" {
		t.Errorf("asked whether %s is still the same, it answers %d", tag, resp.StatusCode)
	}
	if other := ask(t, page, http.MethodGet, "/docs/").Header.Get("ETag"); other == tag {
		t.Error("a page with other links has the same ETag")
	}
	calls, allows := everything, everything
	calls.WebSocket = "/socket"
	allows.Servers = nil // in the policy alone
	for _, changed := range []openapi.PageOptions{calls, allows} {
		if other := ask(t, openapi.Page(&changed), http.MethodGet,
			"/docs").Header.Get("ETag"); other == tag {
			t.Error("a page with other options has the same ETag")
		}
	}
}

func TestPage_HEAD(t *testing.T) {
	page := openapi.Page(nil)
	get, head := ask(t, page, http.MethodGet, "/docs"), ask(t, page, http.MethodHead, "/docs")
	for _, name := range []string{
		"Content-Length", "Content-Type", "ETag",
		"Content-Security-Policy",
	} {
		if head.Header.Get(name) == "" || head.Header.Get(name) != get.Header.Get(name) {
			t.Errorf("%s is %q, and %q for GET", name, head.Header.Get(name), get.Header.Get(name))
		}
	}
	if n, _ := head.Body.Read(make([]byte, 1)); head.StatusCode != http.StatusOK || n != 0 {
		t.Errorf("HEAD is answered %d, with %d bytes", head.StatusCode, n)
	}
}

func TestPage_OtherMethods(t *testing.T) {
	for _, method := range []string{
		http.MethodPost, http.MethodPut, http.MethodDelete,
		http.MethodOptions,
	} {
		resp := ask(t, openapi.Page(nil), method, "/docs")
		if resp.StatusCode != http.StatusMethodNotAllowed ||
			resp.Header.Get("Allow") != "GET, HEAD" ||
			resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d, Allow %q, %q", method, resp.StatusCode, resp.Header.Get("Allow"),
				resp.Header.Get("Content-Type"))
		}
	}
}

func TestPage_RefusesURLs(t *testing.T) {
	for name, o := range map[string]openapi.PageOptions{
		"script":           {OpenAPI: "javascript:alert(1)"},
		"data":             {OpenRPC: "data:application/json,{}"},
		"file":             {AsyncAPI: "file:///etc/passwd"},
		"unreadable":       {OpenAPI: "http://a b/"},
		"a policy's words": {Servers: []string{"https://a;script-src/"}},
		"ws for POST":      {JSONRPC: "ws://a/"},
		"no host":          {WebSocket: "wss:///ws"},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if message, ok := recover().(string); !ok ||
					!strings.HasPrefix(message, "openapi: Page: ") {
					t.Errorf("it panics with %q", message)
				}
			}()
			openapi.Page(&o)
		})
	}
}

// Markup in options is text, and a name that the page's own template has is no place to fill in.
func TestPage_OptionsAreText(t *testing.T) {
	text := body(t,
		ask(t,
			openapi.Page(&openapi.PageOptions{
				Title:   `"><img src=x>{{documents}}`,
				OpenAPI: `/a"b<c>`,
			}), http.MethodGet, "/docs"))
	if strings.Contains(text, "<img") || strings.Contains(text, "<c>") ||
		!strings.Contains(text, "&#34;&gt;&lt;img src=x&gt;{{documents}}</title>") {
		t.Error("options became markup")
	}
}
