package wsx_test

import (
	"context"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

type (
	addParams struct{ A, B int }
	addResult struct{ Sum int }
)

func newTestServer(t testing.TB, opts *wsx.ServerOptions) (*wsx.Server, string) {
	t.Helper()
	d := wsx.NewDispatcher()
	wsx.Handle(d, "add",
		func(_ context.Context, in addParams) (addResult, error) {
			return addResult{in.A + in.B}, nil
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
