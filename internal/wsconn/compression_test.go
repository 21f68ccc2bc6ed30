package wsconn_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// Compression costs memory and time, and what compresses well inflates well: neither side has it
// unless it is told.
func TestCompression_IsOffByDefault(t *testing.T) {
	for name, tt := range map[string]struct {
		opts *wsconn.Options
		want bool
	}{
		"nil": {nil, false}, "zero": {&wsconn.Options{}, false},
		"on": {&wsconn.Options{Compression: true}, true},
	} {
		server, client := net.Pipe()
		w, r := hijacked{httptest.NewRecorder(), server}, handshake()
		r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")
		c, err := wsconn.Upgrade(w, r, tt.opts)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Header().Get("Sec-WebSocket-Extensions"); (got != "") != tt.want {
			t.Errorf("%s: a server answers %q", name, got)
		}
		_ = client.Close()
		_ = c.CloseNow()

		var offered string
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			offered = r.Header.Get("Sec-WebSocket-Extensions")
			w.WriteHeader(http.StatusTeapot)
		}))
		if _, _, err := wsconn.Dial(t.Context(), srv.URL, nil, tt.opts); err == nil {
			t.Error("no handshake")
		}
		srv.Close()
		if (offered != "") != tt.want {
			t.Errorf("%s: a client offers %q", name, offered)
		}
	}
}
