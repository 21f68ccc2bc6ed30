package middleware_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/middleware"
)

type quiet struct{}

func (quiet) NewLogEntry(*http.Request) chimiddleware.LogEntry          { return quiet{} }
func (quiet) Write(int, int, http.Header, time.Duration, any)           {}
func (quiet) Panic(any, []byte)                                         {}
func (quiet) named(name string, mw func(http.Handler) http.Handler) mid { return mid{name, mw} }

type mid struct {
	name string
	mw   func(http.Handler) http.Handler
}

// wrappers are the middlewares that put themselves between handler and client; steady only look at
// the request.
func wrappers(timeout time.Duration) []mid {
	q := quiet{}
	return []mid{
		q.named("Errors",
			middleware.Errors(&asgi.ErrorOptions{Logger: slog.New(slog.DiscardHandler)})),
		q.named("Recoverer", chimiddleware.Recoverer),
		q.named("Logger", chimiddleware.RequestLogger(q)),
		q.named("Compress", chimiddleware.Compress(5)),
		q.named("Timeout", chimiddleware.Timeout(timeout)),
	}
}

func steady() []mid {
	q := quiet{}
	return []mid{
		q.named("Base",
			middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
				w.BeforeHeader(func(int) { w.Header().Set("X-Base", "seen") })
				next.ServeHTTP(w, r)
			})),
		q.named("CORS",
			middleware.CORS(
				&middleware.CORSOptions{AllowedOrigins: []string{"https://app.example"}})),
		q.named("RequestID", chimiddleware.RequestID),
		q.named("RealIP",
			chimiddleware.RealIP), //nolint:staticcheck // deprecated, but still in many an app
		q.named("ClientIP", chimiddleware.ClientIPFromRemoteAddr),
		q.named("Throttle", chimiddleware.Throttle(100)),
		q.named("StripSlashes", chimiddleware.StripSlashes),
		q.named("CleanPath", chimiddleware.CleanPath),
		q.named("GetHead", chimiddleware.GetHead),
		q.named("Heartbeat", chimiddleware.Heartbeat("/ping")),
		q.named("RequestSize", chimiddleware.RequestSize(1<<20)),
	}
}

// orders are all orders of the five wrappers, each with the others strewn in by a fixed seed.
func orders(timeout time.Duration) (all [][]mid) {
	var permute func(done, rest []mid)
	permute = func(done, rest []mid) {
		if len(rest) == 0 {
			// a fixed seed, so that a failure can be run again
			rng, order := rand.New(rand.NewPCG(7, uint64(len(all)))), slices.Clone(done)
			for _, m := range steady() {
				order = slices.Insert(order, rng.IntN(len(order)+1), m)
			}
			all = append(all, order)
			return
		}
		for i, m := range rest {
			permute(append(slices.Clone(done), m), slices.Delete(slices.Clone(rest), i, i+1))
		}
	}
	permute(nil, wrappers(timeout))
	return all
}

func names(order []mid) (names []string) {
	for _, m := range order {
		names = append(names, m.name)
	}
	return names
}

// hidden reports whether a panic after the header never reaches Errors: Recoverer further in takes
// it, and a Logger between them drops the 500 that Recoverer writes then. The doc comment of Errors
// warns of this one.
func hidden(order []mid) bool {
	at := func(name string) int { return slices.Index(names(order), name) }
	return at("Errors") < at("Logger") && at("Logger") < at("Recoverer")
}

// routes is a router with the middlewares in order; /sse goes on when release says so.
func routes(order []mid, release <-chan struct{}) http.Handler {
	r := chi.NewRouter()
	for _, m := range order {
		r.Use(m.mw)
	}
	r.Get("/text", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, strings.Repeat("hello ", 1000))
	})
	r.Get("/own", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"mine":true}`)
	})
	r.Get("/file", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "file.bin", time.Time{}, strings.NewReader("0123456789"))
	})
	r.Get("/sse", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: one\n\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			panic(err)
		}
		<-release
		_, _ = io.WriteString(w, "data: two\n\n")
	})
	r.Get("/hijack", func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, "raw bytes")
		_ = conn.Close()
	})
	r.Get("/error",
		func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, canary, http.StatusInternalServerError)
		})
	r.Get("/panic", func(http.ResponseWriter, *http.Request) { panic(canary) })
	r.Get("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	for name, handler := range cutAnswers {
		r.Get("/cut/"+strings.ReplaceAll(name, " ", "-"), handler)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		// else Recoverer prints every stack
		r.ServeHTTP(w, chimiddleware.WithLogEntry(req, quiet{}))
	})
}

type answer struct {
	status int
	header http.Header
	body   string
}

func do(t *testing.T, method, url string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

func TestMiddleware_WorksUnderChisInAnyOrder(t *testing.T) {
	for i, order := range orders(time.Minute) {
		t.Run(fmt.Sprintf("%03d %s", i, strings.Join(names(order), " ")), func(t *testing.T) {
			release := make(chan struct{}, 1)
			srv := httptest.NewServer(routes(order, release))
			defer srv.Close()

			for _, c := range []struct {
				method, path string
				status       int
				body         string
				header       []string
			}{
				{"GET", "/text", 200, strings.Repeat("hello ", 1000), nil},
				{"GET", "/text/", 200, strings.Repeat("hello ", 1000), nil},
				{"HEAD", "/text", 200, "", nil},
				{"GET", "/own", 409, `{"mine":true}`, nil},
				{"GET", "/file", 206, "2345", []string{"Range", "bytes=2-5"}},
			} {
				got := do(t, c.method, srv.URL+c.path, c.header...)
				if got.status != c.status || got.body != c.body ||
					got.header.Get("X-Base") != "seen" ||
					!strings.Contains(fmt.Sprint(got.header["Vary"]), "Origin") {
					t.Errorf("%s %s: %d %.80q %v", c.method, c.path, got.status, got.body,
						got.header)
				}
			}
			for _, c := range []struct {
				method, path string
				status       int
			}{
				{"GET", "/missing", 404},
				{"POST", "/text", 405},
				{"GET", "/error", 500},
				{"GET", "/panic", 500},
			} {
				got := do(t, c.method, srv.URL+c.path, "Origin", "https://app.example")
				if got.status != c.status ||
					got.header.Get("Content-Type") != "application/problem+json" ||
					strings.Contains(got.body, canary) ||
					!strings.Contains(got.body, fmt.Sprintf(`"status":%d`, c.status)) ||
					!strings.Contains(fmt.Sprint(got.header["Vary"]), "Origin") {
					t.Errorf("%s %s: %d %.80q %v", c.method, c.path, got.status, got.body,
						got.header)
				}
				if c.status == 405 && got.header.Get("Allow") != "GET" {
					t.Errorf("Allow is %q", got.header.Get("Allow"))
				}
				if allowed := got.header.Get("Access-Control-Allow-Origin"); allowed !=
					"https://app.example" {
					t.Errorf("%s: a page may not read the problem: %q", c.path, allowed)
				}
			}
			if got := do(t, "OPTIONS", srv.URL+"/text", "Origin", "https://app.example",
				"Access-Control-Request-Method", "GET"); got.status != 204 ||
				got.header.Get("Access-Control-Allow-Origin") != "https://app.example" {
				t.Errorf("preflight: %d %v", got.status, got.header)
			}
			if got := rawGet(t, srv, "/hijack"); got != "raw bytes" {
				t.Errorf("hijack: %q", got)
			}
			streams(t, srv, release)
			if hidden(order) {
				return
			}
			for name := range cutAnswers {
				// The Logger's writer drops a second status, and with it what http.Error reports
				// after the header.
				if name == "http.Error" &&
					slices.Index(names(order), "Errors") < slices.Index(names(order), "Logger") {
					continue
				}
				if body, err := fetch(srv.Client(),
					srv.URL+"/cut/"+strings.ReplaceAll(name, " ", "-")); err == nil {
					t.Errorf("%s: the client takes %q for the whole answer", name, body)
				}
			}
		})
	}
}

// streams checks that an event is on its way before the handler goes on.
func streams(t *testing.T, srv *httptest.Server, release chan<- struct{}) {
	t.Helper()
	res, err := http.Get(srv.URL + "/sse")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	lines := bufio.NewReader(res.Body)
	if line, err := lines.ReadString('\n'); line != "data: one\n" {
		t.Errorf("before the handler went on: %q, %v", line, err)
	}
	release <- struct{}{}
	if rest, err := io.ReadAll(lines); string(rest) != "\ndata: two\n\n" || err != nil {
		t.Errorf("then: %q, %v", rest, err)
	}
}

// TestErrors_ChisTimeoutIs504InAnyOrder has the clock of a bubble, which stands still until the
// handler waits. On a real one the deadline could pass on the way to the handler, and chi's
// Throttle would answer 429.
func TestErrors_ChisTimeoutIs504InAnyOrder(t *testing.T) {
	for i, order := range orders(time.Minute) {
		t.Run(fmt.Sprintf("%03d %s", i, strings.Join(names(order), " ")), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := httptest.NewRecorder()
				routes(order, nil).ServeHTTP(w, httptest.NewRequest("GET", "/slow", nil))
				if w.Code != 504 || w.Header().Get("Content-Type") != "application/problem+json" ||
					!strings.Contains(w.Body.String(), `"status":504`) {
					t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
				}
			})
		})
	}
}
