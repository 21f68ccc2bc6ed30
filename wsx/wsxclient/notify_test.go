package wsxclient_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

// A call in OnNotify whose answer is behind more notifications than may wait ends instead of stalling the connection; one made when they
// wait already is not sent at all.
func TestClient_BacklogEndsTheCallsOfOnNotify(t *testing.T) {
	const flood = 300
	ticks := func(c *websocket.Conn, n int) (err error) {
		for range n {
			err = errors.Join(err, say(c, `{"type":"rpc.notify","event":"tick"}`))
		}
		return err
	}
	for name, script := range map[string]func(c *websocket.Conn) error{
		"sent": func(c *websocket.Conn) error {
			return errors.Join(ticks(c, 1), expect(c, `{"type":"rpc.request","id":1,"method":"a"}`), ticks(c, flood),
				expect(c, `{"type":"rpc.cancel","id":1}`), say(c, `{"type":"rpc.response","id":1,"result":7}`), // which nobody waits for
				expect(c, `{"type":"rpc.request","id":2,"method":"b"}`), say(c, `{"type":"rpc.response","id":2,"result":8}`), untilClosed(c))
		},
		"not sent": func(c *websocket.Conn) error {
			return errors.Join(ticks(c, 1+flood), expect(c, `{"type":"rpc.request","id":1,"method":"b"}`),
				say(c, `{"type":"rpc.response","id":1,"result":8}`), untilClosed(c))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c *wsxclient.Client
				begin, full, all := make(chan struct{}), make(chan struct{}), make(chan struct{})
				notes := 0
				c = fake(t, &wsxclient.Options{OnNotify: func(ctx context.Context, _ string, _ jsontext.Value) {
					<-begin
					if notes++; notes == 1 {
						if name == "not sent" {
							<-full
						}
						if _, err := wsxclient.Call[int](ctx, c, "a", nil); !errors.Is(err, wsxclient.ErrBacklog) {
							t.Error(err)
						}
					}
					if notes == 1+flood {
						close(all)
					}
				}}, script)
				close(begin)
				synctest.Wait()
				close(full)
				<-all
				if got, err := wsxclient.Call[int](t.Context(), c, "b", nil); err != nil || got != 8 {
					t.Error(got, err)
				}
			})
		})
	}
}

// Close ends the context of an OnNotify that waits, and does not wait for anything else.
func TestClient_CloseEndsOnNotifysContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := false
		c := fake(t, &wsxclient.Options{OnNotify: func(ctx context.Context, _ string, _ jsontext.Value) {
			<-ctx.Done()
			ended = true
		}}, func(c *websocket.Conn) error {
			return errors.Join(say(c, `{"type":"rpc.notify","event":"tick"}`), untilClosed(c))
		})
		synctest.Wait()
		if err := c.Close(); err != nil || !ended {
			t.Error(err, ended)
		}
	})
}
