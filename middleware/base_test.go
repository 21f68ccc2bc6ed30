package middleware_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/middleware"
)

func ExampleBase() {
	log := middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
		w.BeforeHeader(func(status int) { w.Header().Set("X-Outcome", http.StatusText(status)) })
		next.ServeHTTP(w, r)
		fmt.Println(r.Method, r.URL.Path, w.Status(), w.Bytes())
	})
	h := log(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "hello")
	}))

	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("POST", "/orders", nil))
	fmt.Println(rec.Header().Get("X-Outcome"))
	// Output:
	// POST /orders 201 5
	// Created
}

func TestBase_LearnsWhatWasSent(t *testing.T) {
	cases := map[string]struct {
		next   http.HandlerFunc
		status int
		bytes  int64
	}{
		"a body": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hi")
		}, 200, 2},
		"a status": {
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
			404, 0,
		},
		"a copy": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, strings.NewReader("hello"))
		}, 200, 5},
		"nothing": {func(http.ResponseWriter, *http.Request) {}, 200, 0},
		"early hints": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(103)
			w.WriteHeader(204)
		}, 204, 0},
		"only early hints": {
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(103) },
			200, 0,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			told := 0
			mw := middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
				w.BeforeHeader(func(status int) {
					told++
					w.Header().Set("X-Told", fmt.Sprint(status))
				})
				if w.Status() != 0 || w.Committed() {
					t.Errorf("before next: status %d, committed %v", w.Status(), w.Committed())
				}
				next.ServeHTTP(w, r)
				if w.Status() != c.status || w.Bytes() != c.bytes {
					t.Errorf("status %d, bytes %d; want %d, %d", w.Status(), w.Bytes(), c.status,
						c.bytes)
				}
			})
			srv := httptest.NewServer(mw(c.next))
			defer srv.Close()
			res, err := http.Get(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != c.status || res.Header.Get("X-Told") != fmt.Sprint(c.status) ||
				told != 1 {
				t.Errorf("client got %d, header %q, hook ran %d times", res.StatusCode,
					res.Header.Get("X-Told"), told)
			}
		})
	}
}

type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestBase_KnowsTheWriterBeneathAWrappedOne(t *testing.T) {
	type opaque struct{ http.ResponseWriter }
	for name, c := range map[string]struct {
		wrap   func(*middleware.Writer) http.ResponseWriter
		status int
	}{
		"with Unwrap": {func(w *middleware.Writer) http.ResponseWriter { return wrapped{w} }, 200},
		"without":     {func(w *middleware.Writer) http.ResponseWriter { return opaque{w} }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			mw := middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
				next.ServeHTTP(c.wrap(w), r)
				if w.Status() != c.status {
					t.Errorf("status %d, want %d", w.Status(), c.status)
				}
			})
			mw(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).
				ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		})
	}
}

func TestBase_AnswersItself(t *testing.T) {
	mw := middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		if !w.Committed() {
			w.WriteHeader(http.StatusTeapot)
		}
		if w.Status() != http.StatusTeapot {
			t.Errorf("status %d", w.Status())
		}
	})
	rec := httptest.NewRecorder()
	mw(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(rec,
		httptest.NewRequest("GET", "/", nil))
	if rec.Code != http.StatusTeapot {
		t.Errorf("got %d", rec.Code)
	}
}

func TestBase_PassesAPanicOn(t *testing.T) {
	status := -1
	mw := middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
		defer func() { status = w.Status() }()
		next.ServeHTTP(w, r)
	})
	defer func() {
		if got := recover(); got != "boom" || status != 0 {
			t.Errorf("recovered %v, status %d", got, status)
		}
	}()
	mw(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("boom") })).
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

func TestBase_MeasuresDuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mw := middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
			next.ServeHTTP(w, r)
			if w.Duration() != 3*time.Second {
				t.Errorf("took %v", w.Duration())
			}
		})
		mw(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			<-time.After(3 * time.Second)
		})).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	})
}

func TestBase_KeepsTheConnectionsAbilities(t *testing.T) {
	seen := make(chan int, 1)
	mw := middleware.Base(func(w *middleware.Writer, r *http.Request, next http.Handler) {
		next.ServeHTTP(w, r)
		seen <- w.Status()
	})

	t.Run("flush", func(t *testing.T) {
		release := make(chan struct{})
		srv := httptest.NewServer(mw(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "first\n")
			w.(http.Flusher).Flush()
			<-release
			_, _ = io.WriteString(w, "second\n")
		})))
		defer srv.Close()
		res, err := http.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewReader(res.Body)
		if line, err := lines.ReadString('\n'); line != "first\n" {
			t.Errorf("before the handler went on: %q, %v", line, err)
		}
		close(release)
		if line, _ := lines.ReadString('\n'); line != "second\n" {
			t.Errorf("then: %q", line)
		}
		<-seen
	})

	t.Run("hijack", func(t *testing.T) {
		srv := httptest.NewServer(mw(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "raw bytes")
			_ = conn.Close()
		})))
		defer srv.Close()
		if got := rawGet(t, srv, "/"); got != "raw bytes" {
			t.Errorf("got %q", got)
		}
		if status := <-seen; status != 101 {
			t.Errorf("status %d", status)
		}
	})

	t.Run("deadlines, full duplex and ReadFrom", func(t *testing.T) {
		srv := httptest.NewServer(mw(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			rc := http.NewResponseController(w)
			err := errors.Join(rc.SetWriteDeadline(time.Time{}), rc.SetReadDeadline(time.Time{}),
				rc.EnableFullDuplex())
			if _, ok := w.(io.ReaderFrom); err != nil || !ok {
				t.Errorf("controller: %v, ReaderFrom %v", err, ok)
			}
		})))
		defer srv.Close()
		res, err := http.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		<-seen
	})
}

func TestBase_NeedsAFunction(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	middleware.Base(nil)
}

// rawGet sends a GET over a plain connection and returns everything that comes back until it ends.
func rawGet(t *testing.T, srv *httptest.Server, path string) string {
	t.Helper()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
		path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func TestMiddlewares_RefuseToServeNothing(t *testing.T) {
	for want, mw := range map[string]func(http.Handler) http.Handler{
		"middleware: Base: the handler is nil": middleware.Base(func(*middleware.Writer,
			*http.Request, http.Handler) {
		}),
		"middleware: Errors: the handler is nil": middleware.Errors(nil),
		"middleware: CORS: the handler is nil":   middleware.CORS(&middleware.CORSOptions{}),
	} {
		func() {
			defer func() {
				if text := recover(); text != want {
					t.Errorf("%v instead of %q", text, want)
				}
			}()
			mw(nil)
		}()
	}
}
