package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

type counted struct {
	Count int `json:"count"`
}

// count streams 0 … n-1; its result is how many were taken.
func count(_ context.Context, n int, out *counted) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for ; out.Count < n; out.Count++ {
			if !yield(out.Count, nil) {
				return
			}
		}
	}
}

type progress struct {
	Done  int `json:"done"`
	Total int `json:"total"`
}

type callback struct {
	Method string         `json:"method"`
	Params jsontext.Value `json:"params"`
}

// bothWays are methods that either side may have.
func bothWays() *wsx.Dispatcher {
	d := methods()
	wsx.HandleStream(d, "count", count)
	wsx.Handle(d, "boom",
		func(context.Context, struct{}) (int, error) { return 0, errors.New("canary-7f3a") })
	wsx.Handle(d, "panic", func(context.Context, struct{}) (int, error) { panic("canary-7f3a") })
	wsx.HandleStream(d, "broken", func(context.Context, struct{}, *struct{}) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			_ = yield(1, nil) && yield(0, wsx.NewError("GONE", "no more"))
		}
	})
	wsx.Handle(d, "work", func(ctx context.Context, steps int) (int, error) {
		for i := range steps {
			if err := wsx.Progress(ctx, progress{i + 1, steps}); err != nil {
				return i, err
			}
		}
		return steps, nil
	})
	return d
}

// peers are one pair, seen from either side: call and stream go to the other.
type peers struct {
	call   func(ctx context.Context, method string, params any) (jsontext.Value, error)
	stream func(ctx context.Context, method string, params any,
		opts *wsx.StreamOptions) iter.Seq2[jsontext.Value, error]
}

// bothSides runs a test against the server's methods from a client, and against a client's from the
// server.
func bothSides(t *testing.T, d func() *wsx.Dispatcher, test func(t *testing.T, p peers)) {
	quiet := slog.New(slog.DiscardHandler)
	t.Run("client calls", func(t *testing.T) {
		c := wsxtest.New(t, d(), &wsx.ServerOptions{Logger: quiet}, nil)
		test(t, fromClient(c))
	})
	t.Run("server calls", func(t *testing.T) {
		conns := make(chan *wsx.Conn, 1)
		server := wsx.NewDispatcher()
		wsx.Handle(server, "hello", func(ctx context.Context, _ struct{}) (struct{}, error) {
			conns <- wsx.ConnFrom(ctx)
			return struct{}{}, nil
		})
		c := wsxtest.New(t, server, nil, &wsxclient.Options{Methods: d(), Logger: quiet})
		if _, err := wsxclient.Call[struct{}](t.Context(), c, "hello", nil); err != nil {
			t.Fatal(err)
		}
		test(t, fromServer(<-conns))
	})
}

func fromClient(c *wsxclient.Client) peers {
	return peers{
		func(ctx context.Context, method string, params any) (jsontext.Value, error) {
			return wsxclient.Call[jsontext.Value](ctx, c, method, params)
		},
		func(ctx context.Context, method string, params any,
			opts *wsx.StreamOptions,
		) iter.Seq2[jsontext.Value, error] {
			return wsxclient.Stream[jsontext.Value](ctx, c, method, params, opts)
		},
	}
}

func fromServer(conn *wsx.Conn) peers {
	return peers{
		func(ctx context.Context, method string, params any) (jsontext.Value, error) {
			return wsx.Call[jsontext.Value](ctx, conn, method, params)
		},
		func(ctx context.Context, method string, params any,
			opts *wsx.StreamOptions,
		) iter.Seq2[jsontext.Value, error] {
			return wsx.Stream[jsontext.Value](ctx, conn, method, params, opts)
		},
	}
}

// told is what a loop over a stream gets, in one string.
func told(items iter.Seq2[jsontext.Value, error]) string {
	var parts []string
	for item, err := range items {
		if err != nil {
			parts = append(parts, err.Error())
		} else {
			parts = append(parts, string(item))
		}
	}
	return strings.Join(parts, " ")
}

func TestStream_YieldsItemsAndThenTheResult(t *testing.T) {
	bothSides(t, bothWays, func(t *testing.T, p peers) {
		for _, n := range []int{0, 1, 5, 2000} {
			var total counted
			i := 0
			for item, err := range p.stream(t.Context(), "count", n,
				&wsx.StreamOptions{Result: &total}) {
				if err != nil || string(item) != fmt.Sprint(i) {
					t.Fatal(n, i, string(item), err)
				}
				i++
			}
			if i != n || total.Count != n {
				t.Errorf("%d items and %d, want %d", i, total.Count, n)
			}
		}
		if got, err := p.call(t.Context(), "count", 3); err != nil || string(got) != `{"count":3}` {
			t.Error(string(got), err)
		}
		if got := told(p.stream(t.Context(), "count", 2, nil)); got != "0 1" {
			t.Error(got)
		}
		if got := told(p.stream(t.Context(), "broken", nil, nil)); got != "1 GONE: no more" {
			t.Error(got)
		}
		if got := told(p.stream(t.Context(), "mirror", point{1, 2}, nil)); got != "" {
			// a method without a stream has no items
			t.Error(got)
		}
	})
}

func TestCall_BothWaysWithTheSameErrors(t *testing.T) {
	bothSides(t, bothWays, func(t *testing.T, p peers) {
		for method, want := range map[string]string{
			"fail":  "NO_STOCK: none left",
			"boom":  "INTERNAL_ERROR: internal error",
			"panic": "INTERNAL_ERROR: internal error",
			"none":  "METHOD_NOT_FOUND: method not found",
		} {
			_, err := p.call(t.Context(), method, nil)
			if coded, ok := errors.AsType[*wsx.Error](err); !ok || coded.Error() != want {
				t.Errorf("%s: %v, want %s", method, err, want)
			}
		}
		_, err := p.call(t.Context(), "mirror", map[string]int{"x": 1, "z": 2})
		if coded, ok := errors.AsType[*wsx.Error](err); !ok ||
			coded.Code != wsx.CodeInvalidParams ||
			fmt.Sprint(coded.Details) !=
				`{"path":"/z","errors":[{"in":"body","pointer":"/z","detail":"is not `+
					`known here"}]}` {
			t.Error(err)
		}
	})
}

func TestProgress_ComesToWhoAskedForIt(t *testing.T) {
	bothSides(t, bothWays, func(t *testing.T, p peers) {
		var reports []string
		var done int
		opts := &wsx.StreamOptions{
			Result:     &done,
			OnProgress: func(r jsontext.Value) { reports = append(reports, string(r)) },
		}
		if got := told(p.stream(t.Context(), "work", 2, opts)); got != "" || done != 2 {
			t.Error(got, done)
		}
		if got := fmt.Sprint(reports); got != `[{"done":1,"total":2} {"done":2,"total":2}]` {
			t.Error(got)
		}
		if got, err := p.call(t.Context(), "work", 2); err != nil || string(got) != "2" {
			t.Error(string(got), err)
		}
	})
}

// Every handler of a full connection waits for its client: the answers are read all the same.
func TestCall_BackFromEveryHandlerAtOnce(t *testing.T) {
	server := wsx.NewDispatcher()
	wsx.Handle(server, "callback", func(ctx context.Context, in callback) (jsontext.Value, error) {
		return wsx.Call[jsontext.Value](ctx, wsx.ConnFrom(ctx), in.Method, in.Params)
	})
	c := wsxtest.New(t, server, &wsx.ServerOptions{MaxInFlight: 4},
		&wsxclient.Options{Methods: bothWays(), MaxInFlight: 2})
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			got, err := wsxclient.Call[int](t.Context(), c, "callback",
				callback{"echo", jsontext.Value(fmt.Sprint(i))})
			if err != nil || got != i {
				t.Error(i, got, err)
			}
		})
	}
	wg.Wait()
}
