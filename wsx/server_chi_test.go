package wsx_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

type tenantKey struct{}

// stock is chi's own middleware, each of which meddles with the response or the context.
func stock() []func(http.Handler) http.Handler {
	return []func(http.Handler) http.Handler{
		middleware.RequestID,
		middleware.RealIP, //nolint:staticcheck // deprecated, and everywhere
		middleware.RequestLogger(&middleware.DefaultLogFormatter{
			Logger:  log.New(io.Discard, "", 0),
			NoColor: true,
		}),
		middleware.Recoverer,
		middleware.Timeout(time.Second),
		middleware.Compress(5),
		middleware.Throttle(10),
		middleware.WithValue(tenantKey{}, "acme"),
	}
}

func TestServer_WorksUnderChisMiddlewareInAnyOrder(t *testing.T) {
	orders := [][]func(http.Handler) http.Handler{stock(), stock()}
	slices.Reverse(orders[1])
	random := rand.New(rand.NewPCG(1, 2))
	for range 6 {
		order := stock()
		random.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		orders = append(orders, order)
	}
	for i, order := range orders {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := callDispatcher()
				wsx.Handle(d, "slow", func(ctx context.Context, seconds int) (string, error) {
					select {
					case <-time.After(time.Duration(seconds) * time.Second):
					case <-ctx.Done():
						return "", context.Cause(ctx)
					}
					if deadline, ok := wsx.ConnFrom(ctx).Context().Deadline(); ok {
						return "", fmt.Errorf("the handshake's deadline %v is left", deadline)
					}
					return fmt.Sprintln(ctx.Value(tenantKey{}),
						wsx.ConnFrom(ctx).Request().Context().Value(tenantKey{})), nil
				})
				server := wsx.NewServer(d,
					&wsx.ServerOptions{
						Debug: true, Logger: slog.New(slog.DiscardHandler),
						KeepaliveAfter: -1,
					})
				r := chi.NewRouter()
				r.Use(order...)
				r.Handle("/ws", server)
				client := wsxtest.Serve(t, r)
				t.Cleanup(func() { stop(t, server) })
				var sockets []*socket
				for range 30 { // three times what Throttle lets in at a time
					s := dialSocket(t, client, "ws://wsx.test/ws")
					s.send(request("1", "slow", "3"))
					sockets = append(sockets, s)
				}
				for _, s := range sockets {
					s.expect(response("1", `"acme acme\n"`))
					s.send(ping)
					s.expect(pong)
				}
			})
		})
	}
}

func TestServer_KeepsNothingThatChiUsesAgain(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "where", func(ctx context.Context, _ struct{}) (string, error) {
		r := wsx.ConnFrom(ctx).Request()
		if chi.RouteContext(ctx) != nil || chi.RouteContext(r.Context()) != nil {
			return "", fmt.Errorf("chi's RouteContext is visible")
		}
		return r.PathValue("room") + r.URL.Path + r.Header.Get("X-Room") +
			r.URL.Query().Get("q"), nil
	})
	server := wsx.NewServer(d,
		&wsx.ServerOptions{Debug: true, Logger: slog.New(slog.DiscardHandler)})
	r := chi.NewRouter()
	r.Route("/rooms", func(r chi.Router) { r.Handle("/{room}/ws", server) })
	r.Get("/other/{a}/{b}/{room}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, chi.URLParam(r, "room"))
	})
	client := wsxtest.Serve(t, r)
	t.Cleanup(func() { stop(t, server) })
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s := dialSocket(t, client, fmt.Sprintf("ws://wsx.test/rooms/r%d/ws?q=%d", i, i))
			for range 50 {
				s.send(request("1", "where", ""))
				s.expect(response("1", fmt.Sprintf(`"r%d/rooms/r%d/ws%d"`, i, i, i)))
			}
		})
		wg.Go(func() {
			for j := range 50 {
				resp, err := client.Get(fmt.Sprintf("http://wsx.test/other/%d/%d/x", i, j))
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
			}
		})
	}
	wg.Wait()
}
