package asgi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/asgi/asgitest"
)

var silent = slog.New(slog.DiscardHandler)

// newApp makes an app that logs nothing.
func newApp(h http.HandlerFunc, components ...asgi.Component) *asgi.App {
	if h == nil {
		h = func(http.ResponseWriter, *http.Request) {}
	}
	app := asgi.New(h, components...)
	app.Logger = silent
	return app
}

func TestApp_ServesBetweenStartAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		app := newApp(func(http.ResponseWriter, *http.Request) { j.note("request") },
			j.component("a", nil, nil), j.component("b", nil, nil))
		c := asgitest.New(t, app)
		c.Get("/").Want(200)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		j.want(t, "+a", "+b", "request", "-b", "-a")
		if err := app.Start(t.Context()); !errors.Is(err, asgi.ErrStarted) {
			t.Errorf("second life: %v", err)
		}
	})
}

func TestApp_NilHandlerAnswers404(t *testing.T) {
	app := asgi.New(nil)
	app.Logger = silent
	asgitest.New(t, app).Get("/").Want(404).Problem()
}

func TestApp_ContextOfRequests(t *testing.T) {
	key := asgi.NewKey[string]("greeting")
	type userKey struct{}
	app := newApp(func(w http.ResponseWriter, r *http.Request) {
		greeting, _ := key.Get(asgi.AppState(r.Context()))
		fmt.Fprint(w, greeting, " ", r.Context().Value(userKey{}), " ",
			asgi.ShutdownContext(r.Context()).Err())
	})
	key.Set(&app.State, "hello")

	t.Run("served", func(t *testing.T) {
		l, base := listen(t)
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), userKey{}, "run"))
		served := make(chan error, 1)
		go func() { served <- app.Serve(ctx, l) }()
		if got := pageAt(t, base); got != "hello run <nil>" {
			t.Errorf("got %q", got)
		}
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Run("mounted", func(t *testing.T) {
		mounted := newApp(func(w http.ResponseWriter, r *http.Request) {
			_, there := key.Get(asgi.AppState(r.Context()))
			fmt.Fprint(w, there, asgi.ShutdownContext(r.Context()).Done() != nil)
		})
		w := httptest.NewRecorder()
		mounted.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if w.Body.String() != "false true" {
			t.Errorf("got %q", w.Body)
		}
	})
}

func pageAt(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestApp_BackgroundWorkIsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		c := asgitest.New(t, newApp(asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
			err := asgi.After(r.Context(), func(ctx context.Context) error {
				err := sleep(5 * time.Second)(ctx)
				j.note("mailed")
				return err
			})
			return asgi.NoContent(), err
		}), j.component("mail", nil, nil), asgi.NewBackground(nil)))
		c.Get("/").Want(204)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		j.want(t, "+mail", "mailed", "-mail")
	})
}

func TestApp_FailedStartServesNothing(t *testing.T) {
	var j journal
	app := newApp(nil, j.component("a", nil, nil), j.component("b", errB, nil))
	l, _ := listen(t)
	if err := app.Serve(t.Context(), l); !errors.Is(err, errB) {
		t.Errorf("error %v", err)
	}
	j.want(t, "+a", "+b", "-a")
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is still open: %v", err)
	}
}

func TestApp_RunCannotListen(t *testing.T) {
	l, _ := listen(t)
	defer l.Close()
	var j journal
	if err := newApp(nil, j.component("a", nil, nil)).Run(t.Context(), l.Addr().String()); err ==
		nil {
		t.Error("listened twice")
	}
	j.want(t) // found before anything was started
}

type brokenListener struct{ net.Listener }

func (brokenListener) Accept() (net.Conn, error) { return nil, errA }

func TestApp_BrokenListenerStopsComponents(t *testing.T) {
	var j journal
	l, _ := listen(t)
	if err := newApp(nil, j.component("a", nil, errB)).Serve(t.Context(),
		brokenListener{l}); !errors.Is(err, errA) || !errors.Is(err, errB) {
		t.Errorf("error %v", err)
	}
	j.want(t, "+a", "-a")
}

func TestApp_ErrorOptions(t *testing.T) {
	for name, debug := range map[string]bool{"production": false, "debug": true} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			app := asgi.New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/mapped" {
					asgi.WriteError(w, r, errB)
					return
				}
				asgi.WriteError(w, r, errors.New("canary-7f3a"))
			}))
			app.Debug = debug
			app.Logger = slog.New(slog.NewTextHandler(&log, nil))
			app.Errors.Map = func(_ *http.Request, err error) *asgi.HTTPError {
				if errors.Is(err, errB) {
					return asgi.NewHTTPError(http.StatusConflict, "")
				}
				return nil
			}
			c := asgitest.New(t, app)
			c.Get("/mapped").Want(409).Problem()
			resp := c.Get("/").Want(500)
			if got := strings.Contains(string(resp.Body), "canary-7f3a"); got != debug {
				t.Errorf("body %s", resp.Body)
			}
			if err := c.Close(); err != nil { // the log is complete then
				t.Error(err)
			}
			if !strings.Contains(log.String(), "canary-7f3a") {
				t.Errorf("log %s", &log)
			}
		})
	}
}

func TestApp_ServerDefaults(t *testing.T) {
	cases := map[string]struct{ set, want *http.Server }{
		"zero": {
			&http.Server{},
			&http.Server{
				ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
				IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
			},
		},
		"set": {
			&http.Server{
				ReadHeaderTimeout: 1, ReadTimeout: -1, IdleTimeout: 3, MaxHeaderBytes: 4,
				WriteTimeout: 5,
			},
			&http.Server{
				ReadHeaderTimeout: 1, ReadTimeout: -1, IdleTimeout: 3, MaxHeaderBytes: 4,
				WriteTimeout: 5,
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			app := newApp(nil)
			app.Server.ReadHeaderTimeout, app.Server.ReadTimeout = c.set.ReadHeaderTimeout,
				c.set.ReadTimeout
			app.Server.IdleTimeout, app.Server.WriteTimeout = c.set.IdleTimeout, c.set.WriteTimeout
			app.Server.MaxHeaderBytes = c.set.MaxHeaderBytes
			l, _ := listen(t)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := app.Serve(ctx, l); err != nil {
				t.Fatal(err)
			}
			got := &app.Server
			if got.ReadHeaderTimeout != c.want.ReadHeaderTimeout ||
				got.ReadTimeout != c.want.ReadTimeout ||
				got.IdleTimeout != c.want.IdleTimeout || got.WriteTimeout != c.want.WriteTimeout ||
				got.MaxHeaderBytes != c.want.MaxHeaderBytes {
				t.Errorf("got %v %v %v %v %d", got.ReadHeaderTimeout, got.ReadTimeout,
					got.IdleTimeout, got.WriteTimeout, got.MaxHeaderBytes)
			}
		})
	}
}

// The read deadline is for the body: an answer may take longer, after a body too.
func TestApp_StreamOutlivesTheReadTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := asgitest.New(t, newApp(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for range 10 {
				if sleep(time.Minute)(r.Context()) != nil {
					return
				}
				_, _ = io.WriteString(w, ".")
				_ = http.NewResponseController(w).Flush()
			}
		}))
		for _, body := range []any{nil, "body"} {
			if got := string(c.Post("/", body).Want(200).Body); got != ".........." {
				t.Errorf("got %q", got)
			}
		}
	})
}

func TestApp_SlowBodyIsCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		extend time.Duration // by the handler
		want   time.Duration
	}{"after 30 s": {0, 30 * time.Second}, "when the handler says": {time.Hour, time.Hour}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var took time.Duration
				client := asgitest.New(t, newApp(func(w http.ResponseWriter, r *http.Request) {
					begin := time.Now()
					if c.extend > 0 {
						if err := http.NewResponseController(w).
							SetReadDeadline(begin.Add(c.extend)); err != nil {
							t.Error(err)
						}
					}
					_, err := io.Copy(io.Discard, r.Body)
					took = time.Since(begin)
					if err == nil {
						t.Error("the body ended")
					}
				}))
				body, _ := io.Pipe() // never writes
				defer body.Close()
				client.Post("/", body)
				if took != c.want {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestApp_MountedInAnotherApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		begun := make(chan struct{})
		inner := newApp(func(_ http.ResponseWriter, r *http.Request) {
			close(begun)
			<-asgi.ShutdownContext(r.Context()).Done()
			ended <- context.Cause(asgi.ShutdownContext(r.Context()))
		})
		c := asgitest.New(t, newApp(inner.ServeHTTP, inner))
		var wg sync.WaitGroup
		wg.Go(func() {
			resp, err := c.HTTP.Get(asgitest.BaseURL)
			if err != nil {
				t.Error(err)
				return
			}
			_ = resp.Body.Close()
		})
		<-begun
		if err := c.Close(); err != nil { // would wait for the stream until its deadline
			t.Error(err)
		}
		wg.Wait()
		if err := <-ended; !errors.Is(err, asgi.ErrShutdown) {
			t.Errorf("cause %v", err)
		}
	})
}

func ExampleApp() {
	db := asgi.Hooks{
		Name:    "db",
		OnStart: func(context.Context) error { fmt.Println("open"); return nil },
		OnStop:  func(context.Context) error { fmt.Println("close"); return nil },
	}
	mux := http.NewServeMux()
	app := asgi.New(mux, db)
	app.Logger = slog.New(slog.DiscardHandler)
	mux.Handle("GET /ready", app.Ready())

	// In main: if err := app.Run(context.Background(), ":8080"); err != nil { log.Fatal(err) }
	if err := app.Start(context.Background()); err != nil {
		fmt.Println(err)
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest("GET", "/ready", nil))
	fmt.Println(w.Code, w.Body)
	if err := app.Stop(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// open
	// 200 {"status":"ready"}
	// close
}
