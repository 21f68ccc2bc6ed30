package middleware_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/middleware"
)

// cutAnswers are handlers that fail after the header was sent.
var cutAnswers = map[string]http.HandlerFunc{
	"panic": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the first half")
		panic(canary)
	},
	"panic after a flush": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the first half")
		w.(http.Flusher).Flush()
		panic(canary)
	},
	"returned error": func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "the first half")
		asgi.WriteError(w, r, errors.New(canary))
	},
	"http.Error": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the first half")
		http.Error(w, canary, 500)
	},
	"abort": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the first half")
		panic(http.ErrAbortHandler)
	},
}

func TestErrors_CutsTheConnectionOnceCommitted(t *testing.T) {
	for name, handler := range cutAnswers {
		t.Run(name, func(t *testing.T) {
			for _, http2 := range []bool{false, true} {
				log := new(bytes.Buffer)
				srv := httptest.NewUnstartedServer(
					middleware.Errors(
						&asgi.ErrorOptions{
							Logger: slog.New(slog.NewTextHandler(log, nil)),
						})(handler))
				srv.EnableHTTP2 = http2
				srv.StartTLS()
				body, err := fetch(srv.Client(), srv.URL)
				srv.Close() // waits for the handler, so that its log may be read
				if err == nil {
					t.Errorf("HTTP/2 %v: the client takes %q for the whole answer", http2, body)
				}
				if strings.Contains(body, canary) {
					t.Errorf("HTTP/2 %v: the client sees %q", http2, body)
				}
				if logged := strings.Contains(log.String(), "level=ERROR"); logged !=
					(name != "abort") {
					t.Errorf("HTTP/2 %v: log: %s", http2, log)
				}
			}
		})
	}
}

// fetch reads a whole answer; the error is what an honest client would see.
func fetch(client *http.Client, url string) (string, error) {
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func TestErrors_HeadGetsNoBody(t *testing.T) {
	srv := httptest.NewServer(middleware.Errors(nil)(http.NotFoundHandler()))
	defer srv.Close()
	res, err := http.Head(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 404 || res.Header.Get("Content-Type") != "application/problem+json" ||
		res.ContentLength <= 0 {
		t.Errorf("got %d, %v", res.StatusCode, res.Header)
	}
}

func TestErrors_HijackedConnectionIsLeftAlone(t *testing.T) {
	srv := httptest.NewServer(
		middleware.Errors(nil)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "raw")
			w.WriteHeader(500)
			_ = conn.Close()
		})))
	defer srv.Close()
	if got := rawGet(t, srv, "/"); got != "raw" {
		t.Errorf("got %q", got)
	}
}

func TestErrors_AFileReachesTheConnectionWithoutACopy(t *testing.T) {
	name := t.TempDir() + "/f"
	if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(
		middleware.Errors(nil)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, name)
		})))
	defer srv.Close()
	if body, err := fetch(srv.Client(), srv.URL); len(body) != 1<<20 || err != nil {
		t.Errorf("got %d bytes, %v", len(body), err)
	}
}
