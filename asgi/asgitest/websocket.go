package asgitest

import (
	"context"
	"net/http"

	"github.com/coder/websocket"
)

// Dial opens a WebSocket; opts may be nil, its HTTPClient is not used. The response is that of the
// handshake, which tells why when err is not nil. The connection is cut at the end of the test
// unless it was closed before, so that no handler is left waiting for it.
func (c *Client) Dial(ctx context.Context, path string,
	opts *websocket.DialOptions,
) (*websocket.Conn, *http.Response, error) {
	var o websocket.DialOptions
	if opts != nil {
		o = *opts
	}
	o.HTTPClient = c.HTTP
	conn, resp, err := websocket.Dial(ctx, c.url(path), &o)
	if err == nil {
		c.tb.Cleanup(func() { _ = conn.CloseNow() }) // fails when it was closed before
	}
	return conn, resp, err
}
