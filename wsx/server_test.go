package wsx_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

type addParams struct{ A, B int }
type addResult struct{ Sum int }

func newTestServer(t testing.TB, opts *wsx.ServerOptions) (*wsx.Server, string) {
	t.Helper()
	d := wsx.NewDispatcher()
	wsx.Handle(d, "add", func(_ context.Context, in addParams) (addResult, error) { return addResult{in.A + in.B}, nil })
	wsx.Handle(d, "echo", func(_ context.Context, in jsontext.Value) (jsontext.Value, error) { return in, nil })
	wsx.Handle(d, "wait", func(ctx context.Context, _ struct{}) (struct{}, error) { <-ctx.Done(); return struct{}{}, ctx.Err() })
	wsx.Handle(d, "notifyMe", func(ctx context.Context, n int) (int, error) {
		for i := range n {
			if err := wsx.ConnFrom(ctx).Notify(ctx, "tick", i); err != nil {
				return i, err
			}
		}
		return n, nil
	})
	s := wsx.NewServer(d, opts)
	srv := httptest.NewServer(s)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	return s, srv.URL
}

func dialTest(t testing.TB, url string, opts *wsxclient.Options) *wsxclient.Client {
	t.Helper()
	c, err := wsxclient.Dial(t.Context(), url, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestServer_CallsATypedMethod(t *testing.T) {
	_, url := newTestServer(t, nil)
	c := dialTest(t, url, nil)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			got, err := wsxclient.Call[addResult](t.Context(), c, "add", addParams{i, i})
			if err != nil || got.Sum != 2*i {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	wg.Wait()
}

func TestServer_CancelEndsTheCall(t *testing.T) {
	_, url := newTestServer(t, nil)
	c := dialTest(t, url, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := wsxclient.Call[struct{}](ctx, c, "wait", nil); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, wsx.NewError(wsx.CodeDeadlineExceeded, "")) {
		t.Errorf("got %v", err)
	}
	if _, err := wsxclient.Call[addResult](t.Context(), c, "add", nil); err != nil {
		t.Error(err)
	}
}

func TestServer_NotifiesInOrder(t *testing.T) {
	_, url := newTestServer(t, nil)
	var got []string
	done := make(chan struct{})
	c := dialTest(t, url, &wsxclient.Options{OnNotify: func(event string, payload jsontext.Value) {
		got = append(got, event+string(payload))
		if len(got) == 3 {
			close(done)
		}
	}})
	if n, err := wsxclient.Call[int](t.Context(), c, "notifyMe", 3); err != nil || n != 3 {
		t.Fatal(n, err)
	}
	<-done
	if got[0] != "tick0" || got[2] != "tick2" {
		t.Error(got)
	}
}
