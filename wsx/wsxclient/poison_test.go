package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// counting are options of a client that comes back, and how many connections it had. OnState, which
// counts them, has a goroutine of its own, that a call's answer may overtake; so connects waits
// until the bubble is quiet.
func counting() (opts *wsxclient.Options, connects func() int64) {
	var n atomic.Int64
	opts = &wsxclient.Options{
		Reconnect: true, Logger: slog.New(slog.DiscardHandler),
		OnState: func(s wsxclient.State, _ error) {
			if s == wsxclient.Connected {
				n.Add(1)
			}
		},
	}
	return opts, func() int64 { synctest.Wait(); return n.Load() }
}

// A message that the server refuses by closing the connection is given up at the second time, and
// what is beside it goes on.
func TestCall_AMessageThatEndsConnectionsIsGivenUp(t *testing.T) {
	for _, offline := range []int{0, 10} {
		t.Run(fmt.Sprint("offline=", offline), func(t *testing.T) { testGivenUp(t, offline) })
	}
}

func testGivenUp(t *testing.T, offline int) {
	synctest.Test(t, func(t *testing.T) {
		d, l := methods(), &ledger{ran: make(map[string]int)}
		release := make(chan struct{})
		wsx.Handle(d, "held",
			func(_ context.Context, name string) (string, error) {
				l.run(name[:4])
				<-release
				return name, nil
			})
		hub := wsx.NewHub(nil)
		hub.Configure("room", &wsx.ChannelOptions{History: 10})
		opts, connects := counting()
		opts.OfflineMessages = offline
		c := wsxtest.New(t, d, &wsx.ServerOptions{Hub: hub}, opts)
		huge := strings.Repeat("x", 100<<10) // of which the server takes 64 KiB

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		events := make(chan string, 1)
		wg.Go(func() {
			for event, err := range wsxclient.Subscribe[string](ctx, c, "room", nil) {
				if ctx.Err() == nil && err != nil && !errors.Is(err, wsxclient.ErrMissed) {
					t.Error(err)
				} else if ctx.Err() == nil && err == nil {
					events <- event.Payload
				}
			}
		})
		for i := range 5 {
			wg.Go(func() {
				// large, and not too large
				name := fmt.Sprint("c", i, "  ", strings.Repeat("y", 60<<10))
				if got, err := wsxclient.CallWith[string](ctx, c, "held", name,
					&wsxclient.CallOptions{Retry: true}); err != nil || got != name {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			})
		}
		synctest.Wait()
		_, err := wsxclient.CallWith[string](ctx, c, "echo", huge,
			&wsxclient.CallOptions{Retry: true})
		closed, ok := errors.AsType[*wsxclient.ClosedError](err)
		if !ok || !errors.Is(err, wsxclient.ErrPoison) || closed.Code != 1009 ||
			websocket.CloseStatus(err) != 1009 {
			t.Error(err)
		}
		refusals := 0
		for _, err := range wsxclient.Subscribe[string](ctx, c, "room",
			&wsxclient.SubscribeOptions{Params: huge}) {
			if refusals++; !errors.Is(err, wsxclient.ErrPoison) {
				t.Error(err)
			}
		}
		if refusals != 1 {
			t.Errorf("%d errors", refusals)
		}
		if got := connects(); got != 4 { // and the fifth is to come
			t.Errorf("%d connections ended", got)
		}
		// What is not sent again is to blame itself, however often it comes.
		for range 3 {
			<-time.After(time.Minute)
			if err := c.Notify(ctx, "note", huge); err != nil {
				t.Error(err)
			}
		}
		<-time.After(time.Minute)
		if got := connects(); got != 8 {
			t.Errorf("%d connections", got)
		}
		close(release)
		if _, err := hub.Publish(ctx, "room", "after"); err != nil {
			t.Error(err)
		}
		if got := <-events; got != "after" {
			t.Error(got)
		}
		time.AfterFunc(time.Minute, cancel)
		wg.Wait()
	})
}

// A message over MaxMessage is skipped, and whoever it was for told: nothing else comes to harm.
func TestClient_SkipsWhatIsTooBig(t *testing.T) {
	big := `"` + strings.Repeat("x", 20_000) + `"`
	synctest.Test(t, func(t *testing.T) {
		var notes []string
		c := fake(t, &wsxclient.Options{
			MaxMessage: 10_000, Methods: methods(), Logger: slog.New(slog.DiscardHandler),
			OnNotify: func(_ context.Context, event string, payload jsontext.Value) {
				notes = append(notes, event+string(payload))
			},
		}, func(c *websocket.Conn) error {
			return errors.Join(
				expect(c, `{"type":"rpc.request","id":1,"method":"a"}`),
				say(c, `{"type":"rpc.notify","event":"n","payload":`+big+`}`),
				say(c, `{"type":"rpc.notify","event":"n","payload":1}`), say(c, big),
				say(c, `{"type":"rpc.request","id":"r","method":"echo","params":`+big+`}`),
				expect(c,
					`{"type":"rpc.error","id":"r","error":{"code":"RESOURCE_EXHAUSTED",`+
						`"message":"the request is larger than this client takes"}}`),
				say(c, `{"type":"rpc.response","id":1,"result":`+big+`}`),
				expect(c, `{"type":"rpc.request","id":2,"method":"a"}`),
				say(c, `{"type":"rpc.error","id":2,"error":{"code":"X","message":`+big+`}}`),
				expect(c, `{"type":"rpc.request","id":3,"method":"s","meta":{"window":256}}`),
				say(c, `{"type":"rpc.stream","id":3,"seq":0,"item":1}`),
				say(c, `{"type":"rpc.stream","id":3,"seq":1,"item":`+big+`}`),
				expect(c, `{"type":"rpc.cancel","id":3}`),
				untilClosed(c))
		})
		for range 2 {
			if _, err := wsxclient.Call[string](t.Context(), c, "a", nil); !errors.Is(err,
				wsxclient.ErrTooBig) {
				t.Error(err)
			}
		}
		var items []string
		for item, err := range wsxclient.Stream[int](t.Context(), c, "s", nil, nil) {
			items = append(items, fmt.Sprint(item, err))
		}
		if got := strings.Join(items, "|"); got != "1 <nil>|0 "+wsxclient.ErrTooBig.Error() {
			t.Error(got)
		}
		if c.Err() != nil {
			t.Error(c.Err())
		}
		synctest.Wait() // for the rpc.cancel to be out
		_ = c.Close()   // waits for OnNotify
		if got := strings.Join(notes, "|"); got != `wsx.missed{"dropped":1}|n1` {
			t.Error(got)
		}
	})
	synctest.Test(t, func(t *testing.T) { // JSON-RPC, also in a batch
		c := fake(t, &wsxclient.Options{MaxMessage: 10_000, JSONRPC: true},
			func(c *websocket.Conn) error {
				return errors.Join(expect(c, `{"jsonrpc":"2.0","id":1,"method":"a"}`),
					say(c, `{"jsonrpc":"2.0","result":`+big+`,"id":1.0}`),
					expect(c, `{"jsonrpc":"2.0","id":2,"method":"a"}`),
					say(c, `[{"jsonrpc":"2.0","result":`+big+`,"id":2}]`), untilClosed(c))
			})
		for range 2 {
			if _, err := wsxclient.Call[string](t.Context(), c, "a", nil); !errors.Is(err,
				wsxclient.ErrTooBig) {
				t.Error(err)
			}
		}
	})
}

func TestSubscribe_GoesOnBehindAnEventThatIsTooBig(t *testing.T) {
	for _, rpc := range []bool{false, true} {
		for _, live := range []bool{false, true} {
			t.Run(fmt.Sprintf("jsonrpc %t live %t", rpc, live), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					hub := wsx.NewHub(nil)
					hub.Configure("room", &wsx.ChannelOptions{History: 10})
					opts, connects := counting()
					opts.JSONRPC, opts.MaxMessage = rpc, 10_000
					c := wsxtest.New(t, wsx.NewDispatcher(), &wsx.ServerOptions{Hub: hub}, opts)
					publish := func(payload string) (p broker.Position) {
						p, err := hub.Publish(t.Context(), "room", payload)
						if err != nil {
							t.Fatal(err)
						}
						return p
					}
					subscribe := &wsxclient.SubscribeOptions{Recover: publish("zero")}
					rest := func() { publish(strings.Repeat("x", 20_000)); publish("two") }
					if live {
						subscribe.OnSubscribed = func(bool) { rest() }
					} else {
						rest()
					}
					var got []string
					for event, err := range wsxclient.Subscribe[string](t.Context(), c, "room",
						subscribe) {
						if err != nil && errors.Is(err, wsxclient.ErrTooBig) &&
							errors.Is(err, wsxclient.ErrMissed) {
							got = append(got, "too big")
							continue
						}
						if got = append(got,
							fmt.Sprint(event.Payload, event.Position.Offset, err)); event.Payload ==
							"two" {
							break
						}
					}
					if told := strings.Join(got, " "); told != "too big two3 <nil>" ||
						connects() != 1 {
						t.Error(told, connects())
					}
				})
			})
		}
	}
}

// What cannot be read at all ends the connection, but not again and again: the loop goes on without
// what it cannot have.
func TestSubscribe_DoesNotRecoverForEverWhatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan string, 10)
		m := &moody{}
		m.scripts = append(m.scripts, accepting(func(c *websocket.Conn) {
			_, b, err := c.Read(context.Background())
			if err != nil {
				return
			}
			asked <- string(b)
			_, rest, _ := strings.Cut(string(b), `"id":`)
			id, _, _ := strings.Cut(rest, ",")
			_ = say(c,
				`{"type":"rpc.response","id":`+id+
					`,"result":{"subscription":"s","epoch":"e","offset":7,"recovered":true}}`)
			if strings.Contains(string(b), "recover") {
				_ = say(c, "\"\xff\"")
			} else {
				_ = say(c,
					`{"type":"rpc.event","channel":"a","payload":"live","meta":{"sub_id":"s",`+
						`"epoch":"e","offset":9}}`)
			}
			_ = untilClosed(c)
		}))
		c := dialMoody(t, m, &wsxclient.Options{})
		for event, err := range wsxclient.Subscribe[string](t.Context(), c, "a",
			&wsxclient.SubscribeOptions{Recover: broker.Position{Epoch: "e", Offset: 7}}) {
			if err != nil || event.Payload != "live" {
				t.Error(event, err)
			}
			break
		}
		if len(asked) != 3 {
			t.Errorf("asked %d times", len(asked))
		}
	})
}
