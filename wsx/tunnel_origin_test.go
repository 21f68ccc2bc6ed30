package wsx_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/wsx"
)

// What a router refuses the page that asks, the tunnel must not do for it with the page's cookies;
// and what the client says of itself there must not take the place of what its browser said.
func TestTunnel_SaysWhichPageAsks(t *testing.T) {
	var got http.Header
	mux := http.NewServeMux()
	mux.HandleFunc("POST /act", func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Clone()
		_, _ = io.WriteString(w, "acted")
	})
	server := &wsx.ServerOptions{
		HTTP:           http.NewCrossOriginProtection().Handler(mux),
		AllowedOrigins: []string{"https://other.example"}, RequireOrigin: true,
		HTTPHeaders: []string{"*"},
	}
	_, client := serve(t, nil, server)
	ask := func(origin string, more http.Header) string {
		t.Helper()
		header := http.Header{"Origin": {origin}, "Cookie": {"session=1"}}
		for name, values := range more {
			header[name] = values
		}
		c, _, err := websocket.Dial(t.Context(), "ws://wsx.test/",
			&websocket.DialOptions{HTTPClient: client, HTTPHeader: header})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.CloseNow() }()
		s := &socket{t, c}
		s.send(
			`WSX://{"id":1,"method":"POST","path":"/act","headers":{"Origin":"http://wsx.test",` +
				`"Sec-Fetch-Site":"same-origin","sec-websocket-protocol":"x",` +
				`"Referer":"http://wsx.test/","X-Forwarded-For":"192.0.2.1",` +
				`"X-Real-Ip":"192.0.2.1",` +
				`"Forwarded":"for=192.0.2.1","Via":"x","User-Agent":"forged","X-Mine":"1"}}`)
		return s.read()
	}
	for name, more := range map[string]http.Header{
		"an old browser": nil,
		"a browser":      {"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"websocket"}},
	} {
		if a := ask("https://other.example", more); !strings.Contains(a, `"status":403`) {
			t.Errorf("%s of another origin: %s", name, a)
		}
	}
	if a := ask("http://wsx.test",
		http.Header{
			"Sec-Fetch-Site": {"same-origin"},
			"User-Agent":     {"browser"},
		}); !strings.Contains(a, "acted") {
		t.Errorf("the own origin: %s", a)
	}
	for name, want := range map[string]string{
		"Origin": "http://wsx.test", "Sec-Fetch-Site": "same-origin", "User-Agent": "browser",
		"X-Mine": "1", "Cookie": "session=1",
		"Referer": "", "X-Forwarded-For": "", "X-Real-Ip": "", "Forwarded": "", "Via": "",
		"Sec-Websocket-Protocol": "",
	} {
		if v := got.Get(name); v != want {
			t.Errorf("%s: %q", name, v)
		}
	}
}
