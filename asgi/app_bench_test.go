package asgi_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
)

// BenchmarkApp_Mounted is an App inside of a server of others.
func BenchmarkApp_Mounted(b *testing.B) {
	for _, c := range []struct {
		name string
		h    http.Handler
	}{
		{"bare", asgi.Handle(get)},
		{"App", newApp(asgi.Handle(get))},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/things/30?limit=10", nil)
			r.SetPathValue("id", "30")
			r.Header.Set("Accept-Language", "it")
			benchmark(b, c.h, r, "")
		})
	}
}

// BenchmarkApp_Served is one request after another on each of a few connections of loopback, to
// net/http's server and to an App's.
func BenchmarkApp_Served(b *testing.B) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
	})
	b.Run("net-http", func(b *testing.B) {
		srv := &http.Server{Handler: h}
		requests(b, srv.Serve)
		_ = srv.Close()
	})
	b.Run("App", func(b *testing.B) {
		app := newApp(h)
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		requests(b, func(l net.Listener) error {
			defer close(done)
			return app.Serve(ctx, l)
		})
		stop()
		<-done
	})
}

func requests(b *testing.B, serve func(net.Listener) error) {
	b.ReportAllocs()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = serve(l) }()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer nc.Close()
		answers := bufio.NewReader(nc)
		for pb.Next() {
			if _, err := io.WriteString(nc, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); err != nil {
				b.Error(err)
				return
			}
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
		}
	})
	b.StopTimer()
}
