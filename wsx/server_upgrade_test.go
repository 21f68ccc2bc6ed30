package wsx_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/wsx"
)

// expectProblem checks that a refusal is an RFC 9457 problem of that status.
func expectProblem(t *testing.T, resp *http.Response, status int) {
	t.Helper()
	defer resp.Body.Close()
	var body struct {
		Status int    `json:"status"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}
	if resp.StatusCode != status {
		t.Fatalf("status %d, want %d", resp.StatusCode, status)
	}
	if err := json.UnmarshalRead(resp.Body, &body); err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" ||
		body.Status != status || body.Title == "" || body.Detail == "" && status < 500 {
		t.Errorf("%s %+v", got, body)
	}
}

func TestServer_RefusesUpgradesWithAProblem(t *testing.T) {
	const own = "http://wsx.test"
	for _, tc := range []struct {
		name   string
		opts   wsx.ServerOptions
		change func(r *http.Request)
		status int
		header [2]string // to be found in the answer
	}{
		{
			"no origin",
			wsx.ServerOptions{},
			func(*http.Request) {}, 101,
			[2]string{"Upgrade", "websocket"},
		},
		{
			"own origin",
			wsx.ServerOptions{RequireOrigin: true},
			func(r *http.Request) { r.Header.Set("Origin", own) }, 101,
			[2]string{},
		},
		{
			"own origin behind a TLS proxy",
			wsx.ServerOptions{},
			func(r *http.Request) { r.Header.Set("Origin", "https://wsx.test") }, 101,
			[2]string{},
		},
		{
			"listed origin",
			wsx.ServerOptions{AllowedOrigins: []string{"https://app.example"}},
			func(r *http.Request) { r.Header.Set("Origin", "https://app.example") }, 101,
			[2]string{},
		},
		{
			"listed but for its port",
			wsx.ServerOptions{AllowedOrigins: []string{"https://app.example"}},
			func(r *http.Request) { r.Header.Set("Origin", "https://app.example:8443") }, 403,
			[2]string{},
		},
		{
			"foreign origin",
			wsx.ServerOptions{},
			func(r *http.Request) { r.Header.Set("Origin", "http://evil.test") }, 403,
			[2]string{},
		},
		{
			"null origin",
			wsx.ServerOptions{},
			func(r *http.Request) { r.Header.Set("Origin", "null") }, 403,
			[2]string{},
		},
		{
			"empty origin",
			wsx.ServerOptions{},
			func(r *http.Request) { r.Header["Origin"] = []string{""} }, 403,
			[2]string{},
		},
		{
			"own origin twice",
			wsx.ServerOptions{},
			func(r *http.Request) { r.Header["Origin"] = []string{own, own} }, 403,
			[2]string{},
		},
		{
			"own origin with a path",
			wsx.ServerOptions{},
			func(r *http.Request) { r.Header.Set("Origin", own+"/") }, 403,
			[2]string{},
		},
		{
			"no origin where one is required",
			wsx.ServerOptions{RequireOrigin: true},
			func(*http.Request) {}, 403,
			[2]string{},
		},
		{"rebound host", wsx.ServerOptions{Hosts: []string{"wsx.test"}}, func(r *http.Request) {
			r.Host = "evil.test"
			r.Header.Set("Origin", "http://evil.test")
		}, 403, [2]string{}},
		{
			"configured host",
			wsx.ServerOptions{Hosts: []string{"wsx.test"}},
			func(r *http.Request) { r.Header.Set("Origin", own) }, 101,
			[2]string{},
		},
		{
			"POST",
			wsx.ServerOptions{},
			func(r *http.Request) { r.Method = http.MethodPost }, 405,
			[2]string{"Allow", "GET"},
		},
		{
			"no upgrade",
			wsx.ServerOptions{},
			func(r *http.Request) { r.Header.Del("Upgrade"); r.Header.Del("Connection") }, 426,
			[2]string{"Upgrade", "websocket"},
		},
		{
			"another upgrade",
			wsx.ServerOptions{},
			func(r *http.Request) { r.Header.Set("Upgrade", "h2c") }, 426,
			[2]string{"Upgrade", "websocket"},
		},
		{
			"another version",
			wsx.ServerOptions{},
			func(r *http.Request) { r.Header.Set("Sec-WebSocket-Version", "8") }, 426,
			[2]string{"Sec-WebSocket-Version", "13"},
		},
		{
			"no key",
			wsx.ServerOptions{},
			func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") },
			400,
			[2]string{},
		},
		{
			"short key",
			wsx.ServerOptions{},
			func(r *http.Request) { r.Header.Set("Sec-WebSocket-Key", "AAAA") }, 400,
			[2]string{},
		},
		{
			"two keys",
			wsx.ServerOptions{},
			func(r *http.Request) { r.Header.Add("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==") },
			400,
			[2]string{},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, client := serve(t, wsx.NewDispatcher(), &tc.opts)
			r := handshake(t, "http://wsx.test/ws")
			tc.change(r)
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if name, want := tc.header[0], tc.header[1]; resp.Header.Get(name) != want &&
				name != "" {
				t.Errorf("%s: %q, want %q", name, resp.Header.Get(name), want)
			}
			if tc.status != http.StatusSwitchingProtocols {
				expectProblem(t, resp, tc.status)
				return
			}
			defer resp.Body.Close()
			rwc, ok := resp.Body.(io.ReadWriter)
			if !ok || resp.StatusCode != tc.status {
				t.Fatalf("status %d", resp.StatusCode)
			}
			pong := make([]byte, 2)
			if _, err := rwc.Write([]byte("\x89\x80mask")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(rwc, pong); err != nil || string(pong) != "\x8a\x00" {
				t.Errorf("%x, %v", pong, err)
			}
		})
	}
}

func TestServer_RefusesAnHTTPOriginUnderTLS(t *testing.T) {
	s := wsx.NewServer(wsx.NewDispatcher(), nil)
	for origin, status := range map[string]int{
		"http://wsx.test":  403,
		"https://wsx.test": 501, // accepted as far as the origin goes; a recorder is no connection
	} {
		r := handshake(t, "https://wsx.test/")
		r2 := httptest.NewRequest(http.MethodGet, "https://wsx.test/", nil) // with TLS
		r2.Header = r.Header
		r2.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r2)
		expectProblem(t, w.Result(), status)
	}
}

func TestServer_RefusesUpgradesAfterStop(t *testing.T) {
	s, client := serve(t, wsx.NewDispatcher(), nil)
	stop(t, s)
	resp, err := client.Do(handshake(t, "http://wsx.test/"))
	if err != nil {
		t.Fatal(err)
	}
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	expectProblem(t, resp, 503)
}

func TestServer_SelectsItsSubprotocol(t *testing.T) {
	_, client := serve(t, wsx.NewDispatcher(), nil)
	for _, tc := range []struct {
		name   string
		offers []string
		want   string
	}{
		{"offered", []string{"wsx.v1"}, "wsx.v1"},
		{"offered among others", []string{"graphql-ws", "wsx.v1"}, "wsx.v1"},
		{"not offered", nil, ""},
		{"unknown ones only", []string{"graphql-ws", "wsx.v2"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _, err := websocket.Dial(t.Context(), "ws://wsx.test/",
				&websocket.DialOptions{HTTPClient: client, Subprotocols: tc.offers})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.CloseNow() }()
			if c.Subprotocol() != tc.want {
				t.Errorf("selected %q", c.Subprotocol())
			}
			s := &socket{t, c}
			s.send(ping)
			s.expect(pong)
		})
	}
}

func TestNewServer_PanicsOnWhatCouldNeverMatch(t *testing.T) {
	for _, opts := range []wsx.ServerOptions{
		{AllowedOrigins: []string{"https://app.example/"}},
		{AllowedOrigins: []string{"app.example"}},
		{AllowedOrigins: []string{"HTTPS://app.example"}},
		{AllowedOrigins: []string{"https://app.example:443"}},
		{AllowedOrigins: []string{"https://*.example"}},
		{AllowedOrigins: []string{"*"}},
		{AllowedOrigins: []string{"null"}},
		{AllowedOrigins: []string{""}},
		{Hosts: []string{"https://app.example"}},
		{Hosts: []string{"app.example/ws"}},
		{Hosts: []string{""}},
	} {
		if text := panicText(func() { wsx.NewServer(wsx.NewDispatcher(), &opts) }); text == "" {
			t.Errorf("accepted %q %q", opts.AllowedOrigins, opts.Hosts)
		}
	}
}
