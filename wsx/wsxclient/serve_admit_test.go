package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

// holding are methods of which "hold" runs until it is let go, or cancelled, and the names of those
// that began, in order.
func holding() (d *wsx.Dispatcher, let chan struct{}, began func() string) {
	d, let = wsx.NewDispatcher(), make(chan struct{})
	var mu sync.Mutex
	var names []string
	wsx.Handle(d, "hold", func(ctx context.Context, name string) (string, error) {
		mu.Lock()
		names = append(names, name)
		mu.Unlock()
		select {
		case <-let:
			return name, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	return d, let, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(names, " ")
	}
}

func hold(id, name string) string {
	return fmt.Sprintf(`{"type":"rpc.request","id":%q,"method":"hold","params":%q}`, id, name)
}

func held(id, name string) string {
	return fmt.Sprintf(`{"type":"rpc.response","id":%q,"result":%q}`, id, name)
}

func refused(id, code, message string) string {
	return fmt.Sprintf(`{"type":"rpc.error","id":%q,"error":{"code":%q,"message":%q}}`, id, code,
		message)
}

// Calls of the server beyond MaxInFlight wait, and nothing waits with them: not answers, events,
// notifications, pings, cancels and the end.
func TestClient_ReadsOnWhileItsMethodsAreBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, let, began := holding()
		noted := make(chan struct{})
		over := make(chan struct{})
		c := fake(t, &wsxclient.Options{
			Methods: d, MaxInFlight: 2, Logger: slog.New(slog.DiscardHandler),
			OnNotify: func(context.Context, string, jsontext.Value) { close(noted) },
		}, func(c *websocket.Conn) error {
			err := errors.Join(say(c, hold("a", "a")), say(c, hold("b", "b")),
				say(c, hold("c", "c")), say(c, hold("d", "d")), say(c, hold("e", "e")))
			err = errors.Join(err,
				say(c, `{"type":"rpc.ping","id":1}`), expect(c, `{"type":"rpc.pong","id":1}`),
				say(c, hold("c", "again")),
				expect(c, refused("c", "INVALID_REQUEST", "a request with this id is in flight")),
				// which never began
				say(c, `{"type":"rpc.cancel","id":"c"}`),
				expect(c, refused("c", "CANCELLED", "cancelled")),
				say(c,
					`{"type":"rpc.request","id":"f","method":"hold","params":"f",`+
						`"meta":{"timeout_ms":1000}}`),
				expect(c, refused("f", "DEADLINE_EXCEEDED", "deadline exceeded")),
				say(c, `{"type":"rpc.notify","event":"n"}`),
				expect(c, `{"type":"rpc.request","id":1,"method":"x"}`),
				say(c, `{"type":"rpc.response","id":1,"result":7}`),
				expect(c, `{"type":"rpc.subscribe","id":2,"channel":"ch"}`),
				say(c, `{"type":"rpc.response","id":2,"result":{"subscription":"s"}}`),
				say(c, `{"type":"rpc.event","channel":"ch","payload":8,"meta":{"sub_id":"s"}}`),
				expect(c, `{"type":"rpc.unsubscribe","id":3,"subscription":"s"}`),
				// one that runs makes room for one that waits
				say(c, `{"type":"rpc.cancel","id":"a"}`),
				expect(c, refused("a", "CANCELLED", "cancelled")))
			<-over
			let <- struct{}{}
			_, first, err1 := c.Read(context.Background())
			let <- struct{}{}
			_, second, err2 := c.Read(context.Background())
			let <- struct{}{}
			_, third, err3 := c.Read(context.Background())
			if got := string(first) + string(second) +
				string(third); len(got) != len(held("b", "b")+held("d", "d")+held("e", "e")) {
				t.Error(got)
			}
			return errors.Join(err, err1, err2, err3, untilClosed(c))
		})
		<-noted
		if got, err := wsxclient.Call[int](t.Context(), c, "x", nil); err != nil || got != 7 {
			t.Error(got, err)
		}
		for event, err := range wsxclient.Subscribe[int](t.Context(), c, "ch", nil) {
			if err != nil || event.Payload != 8 {
				t.Error(event, err)
			}
			break
		}
		synctest.Wait()
		if got := began(); got != "a b d" && got != "b a d" {
			t.Errorf("%s began", got)
		}
		close(over)
		synctest.Wait()
		if got := began(); !strings.HasSuffix(got, " d e") {
			t.Errorf("%s began", got)
		}
	})
}

// What waits is bounded, in number and in bytes; the rest is told to come again. One call waits
// however large it is.
func TestClient_BoundsTheCallsThatWait(t *testing.T) {
	for name, tc := range map[string]struct {
		size, room int
	}{
		"in number": {1, 1024},
		"in bytes":  {1_000_000, 4},
		"one":       {5_000_000, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, let, _ := holding()
				param := strings.Repeat("x", tc.size)
				c := fake(t,
					&wsxclient.Options{
						Methods: d, MaxInFlight: 1, MaxMessage: -1,
						Logger: slog.New(slog.DiscardHandler),
					}, func(c *websocket.Conn) error {
						c.SetReadLimit(-1)
						err := say(c, hold("0", "running"))
						for i := range tc.room + 1 {
							err = errors.Join(err, say(c, hold(fmt.Sprint(i+1), param)))
						}
						last := fmt.Sprint(tc.room + 1)
						err = errors.Join(err,
							expect(c, refused(last, "UNAVAILABLE", "as many calls wait as may")),
							say(c, `{"type":"rpc.cancel","id":"0"}`),
							expect(c, refused("0", "CANCELLED", "cancelled")))
						for i := range tc.room {
							let <- struct{}{}
							err = errors.Join(err, expect(c, held(fmt.Sprint(i+1), param)))
						}
						return errors.Join(err, say(c, hold("z", "room again")), send(let),
							expect(c, held("z", "room again")),
							say(c, `{"type":"rpc.notify","event":"done"}`), untilClosed(c))
					})
				<-time.After(time.Second)
				if c.Err() != nil {
					t.Error(c.Err())
				}
			})
		})
	}
}

func send(let chan<- struct{}) error {
	let <- struct{}{}
	return nil
}

// The client's end ends the calls that wait.
func TestClient_EndsWhatWaitsWithTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _, began := holding()
		c := fake(t,
			&wsxclient.Options{Methods: d, MaxInFlight: 1, Logger: slog.New(slog.DiscardHandler)},
			func(c *websocket.Conn) error {
				return errors.Join(say(c, hold("a", "a")), say(c, hold("b", "b")),
					say(c, hold("c", "c")), untilClosed(c))
			})
		synctest.Wait()
		if err := c.Close(); err != nil || began() != "a" {
			t.Error(err, began())
		}
	})
}

// A server that asks for answers and does not read them is not answered for ever, and holds nothing
// up.
func TestClient_EndsAFloodThatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake(t, nil, func(c *websocket.Conn) error {
			id := strings.Repeat("x", 10_000)
			var gone error
			for i := 0; i < 1000 && gone == nil; i++ {
				gone = say(c, hold(id, ""))
			}
			<-time.After(time.Hour)
			return nil
		})
		<-c.Done()
		expectEnded(t, c, 4429)
	})
}
