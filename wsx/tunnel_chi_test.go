package wsx_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

// chiMatrix is a router with all that chi routes by.
func chiMatrix() http.Handler {
	say := func(what string, params ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Pattern", chi.RouteContext(r.Context()).RoutePattern())
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s?%s", what, r.Method, r.URL.Path, r.URL.RawQuery)
			for _, p := range params {
				fmt.Fprintf(w, " %s=%s", p, chi.URLParam(r, p))
			}
			fmt.Fprintf(w, " body=%s", body)
		}
	}
	mark := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Inline", "yes")
			next.ServeHTTP(w, r)
		})
	}
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.GetHead)
	r.Get("/", say("root"))
	r.Get("/only-get", say("get"))
	r.Route("/methods", func(r chi.Router) {
		r.Connect("/", say("connect"))
		r.Delete("/", say("delete"))
		r.Get("/", say("get"))
		r.Head("/", say("head"))
		r.Options("/", say("options"))
		r.Patch("/", say("patch"))
		r.Post("/", say("post"))
		r.Put("/", say("put"))
		r.Trace("/", say("trace"))
	})
	r.HandleFunc("/any", say("any"))
	r.Method("PUT", "/method", say("method"))
	r.Get("/users/{id}", say("user", "id"))
	r.Get("/users/{id}/posts/{post}", say("post", "id", "post"))
	r.Get("/numbers/{n:[0-9]+}", say("number", "n"))
	r.Get("/range/{from}-{to}", say("range", "from", "to"))
	r.Get("/files/*", say("files", "*"))
	r.With(mark).Get("/inline", say("inline"))
	r.Group(func(r chi.Router) {
		r.Use(mark)
		r.Get("/group", say("group"))
	})
	sub := chi.NewRouter()
	sub.Get("/", say("sub"))
	sub.Get("/{x}", say("sub item", "tenant", "x"))
	sub.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "the sub knows no such thing", http.StatusNotFound)
	})
	sub.MethodNotAllowed(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not this way", http.StatusMethodNotAllowed)
	})
	r.Mount("/sub", sub)
	r.Mount("/t/{tenant}", sub)
	r.Mount("/std",
		http.StripPrefix("/std",
			http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, "std ", r.URL.Path)
			})))
	r.Get("/json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = w.Write([]byte(`{"a":[1,2,{"b":"ü"}]}`))
	})
	r.Get("/vnd", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.x+json")
		_, _ = w.Write([]byte(`[]`))
	})
	r.Get("/broken-json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"a":`))
	})
	r.Get("/bin", func(w http.ResponseWriter, _ *http.Request) {
		for c := range 256 {
			_, _ = w.Write([]byte{byte(c)})
		}
	})
	r.Get("/html",
		func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("<!doctype html><p>x"))
		})
	r.Get("/empty", func(http.ResponseWriter, *http.Request) {})
	r.Get("/204", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
		if _, err := w.Write([]byte("x")); err == nil {
			panic("204 took a body")
		}
	})
	r.Get("/304", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte("fresh"))
	})
	r.Get("/redirect",
		func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/users/7", http.StatusSeeOther)
		})
	r.Get("/cookies", func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"a", "b"} {
			http.SetCookie(w, &http.Cookie{Name: name, Value: "1", Path: "/"})
		}
		w.Header().Add("Vary", "Accept")
		w.Header().Add("Vary", "Origin")
	})
	r.Get("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(chi.URLParam(r, "code"), &code)
		w.WriteHeader(code)
	})
	return r
}

// matrix is what is asked of it.
var matrix = []struct{ method, path, query, headers, data string }{
	{method: "GET", path: "/"},
	{method: "HEAD", path: "/"},
	{method: "POST", path: "/"},
	{method: "GET", path: "/nothing"},
	{method: "GET", path: "/only-get/"},
	{method: "POST", path: "/only-get"},
	{method: "HEAD", path: "/only-get"},
	{method: "GET", path: "/only-get", query: "a=1&b=%20"},
	{method: "CONNECT", path: "/methods/"},
	{method: "DELETE", path: "/methods/"},
	{method: "GET", path: "/methods/"},
	{method: "HEAD", path: "/methods/"},
	{method: "OPTIONS", path: "/methods/"},
	{method: "PATCH", path: "/methods/", data: `{"a":1}`},
	{method: "POST", path: "/methods/", data: `[1, 2]`},
	{method: "PUT", path: "/methods/", data: `"text"`},
	{method: "TRACE", path: "/methods/"},
	{method: "BREW", path: "/methods/"},
	{method: "GET", path: "/any"},
	{method: "DELETE", path: "/any"},
	{method: "PUT", path: "/method"},
	{method: "GET", path: "/method"},
	{method: "GET", path: "/users/7"},
	{method: "GET", path: "/users/a%20b"},
	{method: "GET", path: "/users/a%2Fb"},
	{method: "GET", path: "/users/%C3%BC"},
	{method: "GET", path: "/users/"},
	{method: "POST", path: "/users/7"},
	{method: "GET", path: "/users/7/posts/8"},
	{method: "GET", path: "/users/7/posts"},
	{method: "GET", path: "/numbers/42"},
	{method: "GET", path: "/numbers/x"},
	{method: "GET", path: "/range/1-5"},
	{method: "GET", path: "/range/15"},
	{method: "GET", path: "/files/a/b/c.txt"},
	{method: "GET", path: "/files/"},
	{method: "GET", path: "/files/a//b"},
	{method: "GET", path: "/files"},
	{method: "GET", path: "/inline"},
	{method: "GET", path: "/group"},
	{method: "GET", path: "/sub"},
	{method: "GET", path: "/sub/"},
	{method: "GET", path: "/sub/x"},
	{method: "GET", path: "/sub/x/y"},
	{method: "POST", path: "/sub/x"},
	{method: "GET", path: "/t/acme/x"},
	{method: "GET", path: "/t/acme"},
	{method: "DELETE", path: "/t/acme/x"},
	{method: "GET", path: "/std/a"},
	{method: "GET", path: "/json"},
	{method: "GET", path: "/vnd"},
	{method: "GET", path: "/broken-json"},
	{method: "GET", path: "/bin"},
	{method: "GET", path: "/html"},
	{method: "GET", path: "/empty"},
	{method: "GET", path: "/204"},
	{method: "GET", path: "/304"},
	{method: "GET", path: "/304", headers: `{"If-None-Match":"\"1\""}`},
	{method: "GET", path: "/redirect"},
	{method: "GET", path: "/cookies"},
	{method: "GET", path: "/status/418"},
	{method: "GET", path: "/status/599"},
	{method: "GET", path: "/panic"},
}

type tunnelAnswer struct {
	ID      int                       `json:"id"`
	Status  int                       `json:"status"`
	Headers map[string]jsontext.Value `json:"headers"`
	Data    jsontext.Value            `json:"data"`
	Stream  bool                      `json:"stream"`
}

func readTunnelAnswer(t *testing.T, message string) (a tunnelAnswer) {
	t.Helper()
	rest, ok := strings.CutPrefix(message, "WSX://")
	if !ok {
		t.Fatal(message)
	}
	if err := json.Unmarshal([]byte(rest), &a, json.RejectUnknownMembers(true)); err != nil {
		t.Fatal(message, err)
	}
	return a
}

// body is the answer's body as bytes.
func (a *tunnelAnswer) body(t *testing.T) []byte {
	t.Helper()
	var contentType, text string
	_ = json.Unmarshal(a.Headers["content-type"], &contentType)
	switch {
	case a.Data == nil:
		return nil
	case strings.Contains(contentType, "json") && a.Data.Kind() != '"':
		return a.Data
	case json.Unmarshal(a.Data, &text) == nil:
		return []byte(text)
	}
	var in struct{ Base64 string }
	if err := json.Unmarshal(a.Data, &in, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(in.Base64)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestTunnel_ServesChiAsHTTPDoes(t *testing.T) {
	srv := httptest.NewServer(chiMatrix())
	defer srv.Close()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}, Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	s := dial(t, wsx.NewDispatcher(), &wsx.ServerOptions{HTTP: chiMatrix()})
	for _, tc := range matrix {
		t.Run(tc.method+" "+tc.path+" "+tc.query+tc.headers, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), tc.method,
				srv.URL+tc.path+"?"+tc.query, strings.NewReader(tc.data))
			if err != nil {
				t.Fatal(err)
			}
			if tc.query == "" {
				r.URL.ForceQuery, r.URL.RawQuery = false, ""
			}
			more := ""
			if tc.query != "" {
				more += `,"query":"` + tc.query + `"`
			}
			if tc.headers != "" {
				more += `,"headers":` + tc.headers
				r.Header.Set("If-None-Match", `"1"`)
			}
			if tc.data != "" {
				more += `,"data":` + tc.data
				r.Header.Set("Content-Type", "application/json")
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			want, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			s.send(tunnelled("5", tc.method, tc.path, more))
			message := s.read()
			got := readTunnelAnswer(t, message)
			if got.ID != 5 || got.Status != resp.StatusCode || !bytes.Equal(got.body(t), want) ||
				got.Stream {
				t.Errorf("%s\nover HTTP %d %q", message, resp.StatusCode, want)
			}
			for _, name := range []string{
				"Content-Type", "Allow", "Location", "X-Pattern",
				"X-Inline", "Etag", "Vary",
			} {
				var value string
				_ = json.Unmarshal(got.Headers[strings.ToLower(name)], &value)
				if value != strings.Join(resp.Header.Values(name), ", ") {
					t.Errorf("%s: %q, over HTTP %q", name, value, resp.Header.Values(name))
				}
			}
			var cookies []string
			_ = json.Unmarshal(got.Headers["set-cookie"], &cookies)
			if fmt.Sprint(cookies) != fmt.Sprint(resp.Header.Values("Set-Cookie")) {
				t.Errorf("%q", cookies)
			}
		})
	}
}
