package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// Whatever is left, cancelled or slow, what remains comes whole and in order, and everything ends.
func TestStream_ManyAtOnceBothWays(t *testing.T) {
	bothSides(t, bothWays, func(t *testing.T, p peers) {
		var wg sync.WaitGroup
		for range 24 {
			wg.Go(func() {
				for range 10 {
					n, leave := rand.N(600), rand.N(1200)
					ctx, cancel := context.WithCancel(t.Context())
					var total counted
					opts := &wsx.StreamOptions{Result: &total, Buffer: 1 + rand.N(40)}
					i := 0
					for item, err := range p.stream(ctx, "count", n, opts) {
						if errors.Is(err, context.Canceled) && i == leave {
							break
						}
						if err != nil || string(item) != fmt.Sprint(i) {
							t.Error(n, i, string(item), err)
							break
						}
						if i++; i == leave {
							if n%2 == 0 {
								break
							}
							cancel()
						}
					}
					if leave > n && (i != n || total.Count != n) {
						t.Errorf("%d of %d items, then %d", i, n, total.Count)
					}
					cancel()
				}
			})
		}
		wg.Wait()
		if got, err := p.call(t.Context(), "echo", 1); err != nil || string(got) != "1" {
			t.Error(string(got), err)
		}
	})
}

// A consumer that takes an hour for each item makes the producer wait, and nobody else.
func TestStream_ASlowLoopHoldsUpNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bothSidesIn(t, bothWays, func(p peers) {
			i := 0
			for item, err := range p.stream(t.Context(), "count", 20,
				&wsx.StreamOptions{Buffer: 2}) {
				if err != nil || string(item) != fmt.Sprint(i) {
					t.Fatal(i, string(item), err)
				}
				i++
				<-time.After(time.Hour)
				if got, err := p.call(t.Context(), "echo", i); err != nil ||
					string(got) != fmt.Sprint(i) {
					t.Fatal(string(got), err)
				}
			}
		})
	})
}

func TestClient_AnswersACancelledCallAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		d := func() *wsx.Dispatcher {
			d := bothWays()
			wsx.Handle(d, "hold",
				func(context.Context, struct{}) (int, error) { <-hold; return 1, nil })
			return d
		}
		bothSidesIn(t, d, func(p peers) {
			soon, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := p.call(soon, "hold", nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			if _, err := p.call(soon, "wait", nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		close(hold)
	})
}

// Methods of the client that call the server back, more than may run at a time, and so on to a
// depth.
func TestClient_MethodsCallBack(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "down", func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return 0, nil
		}
		m, err := wsx.Call[int](ctx, wsx.ConnFrom(ctx), "down", n-1)
		return m + 1, err
	})
	mine := wsx.NewDispatcher()
	wsx.Handle(mine, "down", func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return 0, nil
		}
		m, err := wsxclient.Call[int](ctx, wsxclient.ClientFrom(ctx), "down", n-1)
		return m + 1, err
	})
	c := wsxtest.New(t, d, &wsx.ServerOptions{MaxInFlight: 3},
		&wsxclient.Options{Methods: mine, MaxInFlight: 2})
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if got, err := wsxclient.Call[int](t.Context(), c, "down", 20); err != nil ||
				got != 20 {
				t.Error(got, err)
			}
		})
	}
	wg.Wait()
}

// bothSidesIn is bothSides without subtests, which a bubble cannot have.
func bothSidesIn(t *testing.T, d func() *wsx.Dispatcher, test func(p peers)) {
	conns := make(chan *wsx.Conn, 1)
	server := d()
	wsx.Handle(server, "hello", func(ctx context.Context, _ struct{}) (struct{}, error) {
		conns <- wsx.ConnFrom(ctx)
		return struct{}{}, nil
	})
	quiet := slog.New(slog.DiscardHandler)
	c := wsxtest.New(t, server, &wsx.ServerOptions{Logger: quiet},
		&wsxclient.Options{Methods: d(), Logger: quiet})
	if _, err := wsxclient.Call[struct{}](t.Context(), c, "hello", nil); err != nil {
		t.Fatal(err)
	}
	conn := <-conns
	test(fromClient(c))
	test(fromServer(conn))
}
