package wsxtest_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func double(_ context.Context, n int) (int, error) { return 2 * n, nil }

func TestNew_CallsMethods(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "double", double)
	c := wsxtest.New(t, d, nil, nil)
	if n, err := wsxclient.Call[int](t.Context(), c, "double", 21); err != nil || n != 42 {
		t.Error(n, err)
	}
}

func TestNew_LivesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := wsx.NewDispatcher()
		wsx.Handle(d, "double", double)
		c := wsxtest.New(t, d, nil, nil)
		<-time.After(time.Hour) // of the bubble: the keepalive has an hour of pings
		if n, err := wsxclient.Call[int](t.Context(), c, "double", 21); err != nil || n != 42 {
			t.Error(n, err)
		}
	})
}

func TestServe_AnswersPlainHTTPWhateverTheHost(t *testing.T) {
	client := wsxtest.Serve(t,
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Host", r.Host)
		}))
	for _, host := range []string{"a.example", "b.example:81"} {
		resp, err := client.Get("http://" + host)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil || resp.Header.Get("X-Host") != host {
			t.Error(resp.Header, err)
		}
	}
}

func TestServe_EndsWithItsTest(t *testing.T) {
	var client *http.Client
	t.Run("inner", func(t *testing.T) {
		client = wsxtest.Serve(t, http.NotFoundHandler())
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://wsx.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Do(r); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	if _, err := client.Get("http://wsx.test/"); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
