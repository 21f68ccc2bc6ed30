package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// severing is a client of a server in memory whose connections can be cut.
func severing(t *testing.T, d *wsx.Dispatcher, o *wsx.ServerOptions,
	opts *wsxclient.Options,
) (c *wsxclient.Client, sever func()) {
	t.Helper()
	o.Logger = slog.New(slog.DiscardHandler)
	s := wsx.NewServer(d, o)
	opts.HTTPClient, opts.Reconnect = wsxtest.Serve(t, s), true
	transport := opts.HTTPClient.Transport.(*http.Transport)
	dial := transport.DialContext
	var mu sync.Mutex
	var conns []net.Conn
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		mu.Lock()
		defer mu.Unlock()
		conns = append(conns, conn)
		return conn, err
	}
	c, err := wsxclient.Dial(t.Context(), "ws://wsx.test/", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(); _ = s.Stop(context.Background()) })
	return c, func() {
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range conns {
			_ = conn.Close()
		}
		conns = nil
	}
}

// Refused for now is not refused for good: a loop whose subscription was taken before goes on
// asking.
func TestSubscribe_SurvivesARefusalForNow(t *testing.T) {
	retryAfter := &wsx.Error{Code: "OUT_OF_LUCK", Details: map[string]int{"retry_after_ms": 90_000}}
	for name, tc := range map[string]struct {
		refusal  error
		times    int64
		first    bool // it is refused before it was ever taken
		survives bool
		least    time.Duration
	}{
		"UNAVAILABLE": {
			refusal: wsx.NewError(wsx.CodeUnavailable, ""), times: 20,
			survives: true,
		},
		"RESOURCE_EXHAUSTED": {
			refusal: wsx.NewError(wsx.CodeResourceExhausted, ""),
			times:   20, survives: true,
		},
		"DEADLINE_EXCEEDED": {refusal: context.DeadlineExceeded, times: 20, survives: true},
		"INTERNAL_ERROR": {
			refusal: wsx.NewError(wsx.CodeInternalError, ""), times: 20,
			survives: true,
		},
		"retry_after_ms": {
			refusal: retryAfter, times: 3, survives: true,
			least: 270 * time.Second,
		},
		"a plain error": {
			refusal: errors.New("the database is away"), times: 7,
			survives: true,
		},
		"SUBSCRIPTION_DENIED": {
			refusal: wsx.NewError(wsx.CodeSubscriptionDenied, ""),
			times:   8,
		},
		"PERMISSION_DENIED": {
			refusal: wsx.NewError(wsx.CodePermissionDenied, ""),
			times:   1,
		},
		"NOT_FOUND":               {refusal: wsx.NewError(wsx.CodeNotFound, ""), times: 1},
		"a code of the program's": {refusal: wsx.NewError("CLOSED_ON_SUNDAYS", ""), times: 1},
		"first UNAVAILABLE": {
			refusal: wsx.NewError(wsx.CodeUnavailable, ""), times: 3,
			first: true, survives: true,
		},
		"first retry_after_ms": {
			refusal: retryAfter, times: 1, first: true, survives: true,
			least: 90 * time.Second,
		},
		"first RESOURCE_EXHAUSTED": {
			refusal: wsx.NewError(wsx.CodeResourceExhausted, ""),
			times:   1, first: true,
		},
		"first INTERNAL_ERROR": {
			refusal: wsx.NewError(wsx.CodeInternalError, ""), times: 1,
			first: true,
		},
		"first SUBSCRIPTION_DENIED": {
			refusal: wsx.NewError(wsx.CodeSubscriptionDenied, ""),
			times:   1, first: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int64
				skip := int64(1)
				if tc.first {
					skip = 0
				}
				hub := wsx.NewHub(&wsx.HubOptions{Logger: slog.New(slog.DiscardHandler)})
				hub.Configure("a",
					&wsx.ChannelOptions{
						History: 10,
						Authorize: func(context.Context, wsx.Subscription) error {
							if n := asked.Add(1); n > skip && n <= skip+tc.times {
								return tc.refusal
							}
							return nil
						},
					})
				c, sever := severing(t, wsx.NewDispatcher(), &wsx.ServerOptions{Hub: hub},
					&wsxclient.Options{})
				began, again, left := time.Now(), false, false
				for _, err := range wsxclient.Subscribe[string](t.Context(), c, "a",
					&wsxclient.SubscribeOptions{OnSubscribed: func(bool) {
						if again || tc.first {
							left = true
							_, _ = hub.Publish(t.Context(), "a", "")
							return
						}
						again = true
						sever()
					}}) {
					if left {
						break
					}
					if err != nil && tc.survives && !errors.Is(err, wsxclient.ErrMissed) {
						t.Error(err)
					}
				}
				if took := time.Since(began); left != tc.survives ||
					asked.Load() != skip+tc.times+map[bool]int64{true: 1}[left] || took < tc.least {
					t.Errorf("begun again: %t, asked %d times, in %v", left, asked.Load(), took)
				}
			})
		})
	}
}

// Hundreds of subscriptions that begin again at once are over the rate of their server, which
// closes the connection of who goes on: the client slows down until all are there.
func TestSubscribe_BeginsAgainUnderARateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const subscriptions = 120
		hub := wsx.NewHub(nil)
		hub.Configure("c.>", &wsx.ChannelOptions{History: 10})
		c, sever := severing(t, methods(),
			&wsx.ServerOptions{Hub: hub, MessageRate: 20, MessageBurst: 5}, &wsxclient.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		var begun atomic.Int64
		var wg sync.WaitGroup
		for i := range subscriptions {
			wg.Go(func() {
				for _, err := range wsxclient.Subscribe[string](ctx, c, fmt.Sprint("c.", i),
					&wsxclient.SubscribeOptions{OnSubscribed: func(bool) { begun.Add(1) }}) {
					if ctx.Err() == nil && !errors.Is(err, wsxclient.ErrMissed) {
						t.Error(err)
					}
				}
			})
			<-time.After(100 * time.Millisecond)
		}
		synctest.Wait()
		if n := begun.Swap(0); n != subscriptions {
			t.Error(n)
		}
		sever()
		<-time.After(2 * time.Minute)
		if n := begun.Load(); n < subscriptions {
			t.Errorf("%d of %d subscriptions began again", n, subscriptions)
		}
		if c.Err() != nil {
			t.Error(c.Err())
		}
		cancel()
		wg.Wait()
	})
}

// An answer that says when to ask again is asked again then, by a call with Retry.
func TestCall_RetriesWhenItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake(t, nil, func(c *websocket.Conn) error {
			refuse := func(id int, details string) error {
				return errors.Join(expect(c,
					fmt.Sprintf(`{"type":"rpc.request","id":%d,"method":"a"}`, id)),
					say(c,
						fmt.Sprintf(
							`{"type":"rpc.error","id":%d,"error":{"code":"RESOURCE_EXHAUSTED",`+
								`"message":"","details":%s}}`, id, details)))
			}
			return errors.Join(refuse(1, `{"retry_after_ms":2500}`),
				refuse(2, `{"retry_after_ms":1e12}`), refuse(3, `{"retry_after_ms":-1}`),
				refuse(4, `{"retry_after_ms":2500}`), untilClosed(c))
		})
		began := time.Now()
		_, err := wsxclient.CallWith[int](t.Context(), c, "a", nil,
			&wsxclient.CallOptions{Retry: true})
		if took := time.Since(began); !errors.Is(err,
			wsx.NewError(wsx.CodeResourceExhausted, "")) ||
			took != 5*time.Minute+2500*time.Millisecond {
			t.Error(err, took)
		}
		if _, err := wsxclient.Call[int](t.Context(), c, "a", nil); !errors.Is(err,
			wsx.NewError(wsx.CodeResourceExhausted, "")) {
			t.Error(err) // without Retry it is the answer
		}
	})
}

// Whenever a loop is given up, the server's subscription ends with it.
func TestSubscribe_GivenUpAtAnyMomentEndsOnTheServer(t *testing.T) {
	var open, began atomic.Int64
	hub := wsx.NewHub(nil)
	hub.Configure("c.>", &wsx.ChannelOptions{
		OnSubscribe:   func(wsx.Subscription) { open.Add(1); began.Add(1) },
		OnUnsubscribe: func(wsx.Subscription) { open.Add(-1) },
	})
	c := wsxtest.New(t, methods(), &wsx.ServerOptions{Hub: hub, MaxSubscriptions: 10_000}, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 250 {
				ctx, cancel := context.WithCancel(t.Context())
				wg.Go(func() {
					for range n % 25 { // somewhere between the request and the first event
						if _, err := wsxclient.Call[int](t.Context(), c, "echo", 1); err != nil {
							t.Error(err)
						}
					}
					cancel()
				})
				for _, err := range wsxclient.Subscribe[int](ctx, c, fmt.Sprintf("c.%d", i),
					&wsxclient.SubscribeOptions{OnSubscribed: func(bool) {
						if n%3 == 0 {
							cancel()
						}
					}}) {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				}
				<-ctx.Done()
			}
		})
	}
	wg.Wait()
	for range 1000 { // until what was sent last has been served
		if _, err := wsxclient.Call[int](t.Context(), c, "echo", 1); err != nil {
			t.Fatal(err)
		}
		if open.Load() == 0 {
			break
		}
	}
	if open.Load() != 0 || began.Load() == 0 {
		t.Errorf("%d of %d subscriptions stay open", open.Load(), began.Load())
	}
}
