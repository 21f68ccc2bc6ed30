package asgi_test

import (
	"context"
	"io"
	"iter"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/asgi/asgitest"
)

// overHTTP2 serves h in memory and talks HTTP/2 to it, in clear text.
func overHTTP2(t *testing.T, h http.Handler) *asgitest.Client {
	app := asgi.New(h)
	app.Logger = silent
	app.Server.Protocols = new(http.Protocols)
	app.Server.Protocols.SetUnencryptedHTTP2(true)
	c := asgitest.New(t, app)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	c.HTTP.Transport.(*http.Transport).Protocols = protocols
	return c
}

// A write deadline of HTTP/2 that passes ends its stream, also while nothing is written.
func TestHTTP2_SilenceIsNoSlowReader(t *testing.T) {
	const silence = 10 * time.Minute
	for name, h := range map[string]http.Handler{
		"events": asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
			return asgi.SSE(func(context.Context, string) iter.Seq2[asgi.Event, error] {
				return func(yield func(asgi.Event, error) bool) {
					if yield(asgi.Event{Data: "first"}, nil) {
						<-time.After(silence)
						yield(asgi.Event{Data: "last"}, nil)
					}
				}
			}, &asgi.SSEOptions{Heartbeat: -1}), nil
		}),
		"stream": asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
			return asgi.StreamFunc("text/plain", func(_ context.Context, w io.Writer) error {
				_, _ = io.WriteString(w, "first")
				<-time.After(silence)
				_, err := io.WriteString(w, "last")
				return err
			}), nil
		}),
		"a handler of net/http": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "first")
			_ = http.NewResponseController(w).Flush()
			<-time.After(silence)
			_, _ = io.WriteString(w, "last")
		}),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				resp, err := overHTTP2(t, h).HTTP.Get(asgitest.BaseURL)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err != nil || resp.ProtoMajor != 2 || len(body) < len("firstlast") {
					t.Errorf("%s: %q, %v", resp.Proto, body, err)
				}
			})
		})
	}
}
