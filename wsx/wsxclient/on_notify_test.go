package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

// bigNote is a notification of which four may wait for OnNotify.
func bigNote(n int) string {
	return fmt.Sprintf(`{"type":"rpc.notify","event":"tick","payload":[%d,"%s"]}`, n,
		strings.Repeat("x", 1_000_000))
}

// numberOf is the n of a bigNote.
func numberOf(payload jsontext.Value) string {
	n, _, _ := strings.Cut(string(payload), ",")
	return strings.TrimPrefix(n, "[")
}

// While OnNotify is slow the client reads no more than it can hold, and the server's Notify waits:
// nothing is lost.
func TestClient_StopsReadingWhileOnNotifyIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const notes = 20
		var sent atomic.Int64
		got, done := []string{}, make(chan struct{})
		c := fake(t,
			&wsxclient.Options{OnNotify: func(_ context.Context, _ string, payload jsontext.Value) {
				<-time.After(1900 * time.Millisecond)
				if got = append(got, numberOf(payload)); len(got) == notes {
					close(done)
				}
			}}, func(c *websocket.Conn) error {
				for i := range notes {
					if err := say(c, bigNote(i)); err != nil {
						return err
					}
					sent.Add(1)
				}
				return untilClosed(c)
			})
		synctest.Wait()
		if n := sent.Load(); n > 6 {
			t.Errorf("%d were taken", n)
		}
		<-done
		if want := "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19"; strings.Join(got, " ") !=
			want {
			t.Error(got)
		}
		if c.Err() != nil {
			t.Error(c.Err())
		}
	})
}

// An OnNotify that waits for what is behind more notifications than may wait gets it: they are
// lost, which it is told in their place.
func TestClient_OnNotifyMayWaitForAnything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answered := make(chan struct{})
		var told []string
		done := make(chan struct{})
		c := fake(t,
			&wsxclient.Options{
				Logger: slog.New(slog.DiscardHandler),
				OnNotify: func(_ context.Context, event string, payload jsontext.Value) {
					switch told = append(told, event+" "+numberOf(payload)); len(told) {
					case 1:
						<-answered // a call of somebody else, say
					case 6:
						close(done)
					}
				},
			}, func(c *websocket.Conn) error {
				err := expect(c, `{"type":"rpc.request","id":1,"method":"a"}`)
				for i := range 9 {
					err = errors.Join(err, say(c, bigNote(i)))
				}
				return errors.Join(err, say(c, `{"type":"rpc.response","id":1,"result":7}`),
					expect(c, `{"type":"rpc.request","id":2,"method":"a"}`),
					say(c, `{"type":"rpc.notify","event":"tick","payload":["last",0]}`),
					untilClosed(c))
			})
		began := time.Now()
		if got, err := wsxclient.Call[int](t.Context(), c, "a", nil); err != nil || got != 7 ||
			time.Since(began) != 2*time.Second {
			t.Error(got, err, time.Since(began)) // one wait for all of them
		}
		close(answered)
		synctest.Wait()
		go func() { _, _ = wsxclient.Call[int](t.Context(), c, "a", nil) }()
		<-done
		want := `tick 0|tick 1|tick 2|tick 3|wsx.missed {"dropped":5}|tick "last"`
		if got := strings.Join(told, "|"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

// A call in OnNotify whose answer is behind more notifications than may wait ends instead of
// stalling the connection; one made when they wait already is not sent at all.
func TestClient_BacklogEndsTheCallsOfOnNotify(t *testing.T) {
	const flood = 8
	ticks := func(c *websocket.Conn, n int) (err error) {
		for range n {
			err = errors.Join(err, say(c, bigNote(0)))
		}
		return err
	}
	for name, script := range map[string]func(c *websocket.Conn) error{
		"sent": func(c *websocket.Conn) error {
			return errors.Join(ticks(c, 1), expect(c, `{"type":"rpc.request","id":1,"method":"a"}`),
				ticks(c, flood),
				// which nobody waits for
				expect(c, `{"type":"rpc.cancel","id":1}`),
				say(c, `{"type":"rpc.response","id":1,"result":7}`),
				expect(c, `{"type":"rpc.request","id":2,"method":"b"}`),
				say(c, `{"type":"rpc.response","id":2,"result":8}`), untilClosed(c))
		},
		"not sent": func(c *websocket.Conn) error {
			return errors.Join(ticks(c, 1+flood),
				expect(c, `{"type":"rpc.request","id":1,"method":"b"}`),
				say(c, `{"type":"rpc.response","id":1,"result":8}`), untilClosed(c))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c *wsxclient.Client
				begin, full, all := make(chan struct{}), make(chan struct{}), make(chan struct{})
				notes := 0
				c = fake(t,
					&wsxclient.Options{
						OnNotify: func(ctx context.Context, _ string, _ jsontext.Value) {
							<-begin
							if notes++; notes == 1 {
								if name == "not sent" {
									<-full
								}
								if _, err := wsxclient.Call[int](ctx, c, "a", nil); !errors.Is(err,
									wsxclient.ErrBacklog) {
									t.Error(err)
								}
							}
							if notes == 1+flood {
								close(all)
							}
						},
					}, script)
				close(begin)
				synctest.Wait()
				close(full)
				<-all
				if got, err := wsxclient.Call[int](t.Context(), c, "b", nil); err != nil ||
					got != 8 {
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
		c := fake(t,
			&wsxclient.Options{OnNotify: func(ctx context.Context, _ string, _ jsontext.Value) {
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
