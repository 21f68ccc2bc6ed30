package asgi_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/asgi"
)

type addIn struct {
	A int `json:"a"`
	B int `json:"b"`
}

type addOut struct {
	Sum int `json:"sum"`
}

func add(_ context.Context, in addIn) (addOut, error) { return addOut{in.A + in.B}, nil }

func respondAdd(r *asgi.Request) (asgi.Response, error) {
	var in addIn
	if err := r.JSON(&in); err != nil {
		return nil, err
	}
	return asgi.JSON(addOut{in.A + in.B}), nil
}

// bareAdd is the same handler in net/http: type checked, body limited, unknown members and trailing
// data refused.
func bareAdd(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "not JSON", http.StatusUnsupportedMediaType)
		return
	}
	var in addIn
	if err := json.UnmarshalRead(http.MaxBytesReader(w, r.Body, 1<<20), &in,
		json.RejectUnknownMembers(true)); err != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	out, err := json.Marshal(addOut{in.A + in.B})
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	_, _ = w.Write(out)
}

type getIn struct {
	ID    int    `path:"id"`
	Limit int    `query:"limit"`
	Lang  string `header:"Accept-Language"`
}

func get(_ context.Context, in getIn) (addOut, error) {
	return addOut{in.ID + in.Limit + len(in.Lang)}, nil
}

func respondGet(r *asgi.Request) (asgi.Response, error) {
	id, err := r.PathInt("id")
	if err != nil {
		return nil, err
	}
	limit, err := r.Query().Int("limit", 0)
	if err != nil {
		return nil, err
	}
	return asgi.JSON(addOut{id + limit + len(r.Headers().Get("Accept-Language"))}), nil
}

func bareGet(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		http.Error(w, "bad id", http.StatusUnprocessableEntity)
		return
	}
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil {
		http.Error(w, "bad limit", http.StatusUnprocessableEntity)
		return
	}
	out, err := json.Marshal(addOut{id + limit + len(r.Header.Get("Accept-Language"))})
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	_, _ = w.Write(out)
}

// nullWriter costs nothing of its own.
type nullWriter struct {
	header http.Header
	n      int
}

func (w *nullWriter) Header() http.Header         { return w.header }
func (w *nullWriter) WriteHeader(int)             {}
func (w *nullWriter) Write(p []byte) (int, error) { w.n += len(p); return len(p), nil }

func benchmark(b *testing.B, h http.Handler, r *http.Request, body string) {
	b.ReportAllocs()
	w := &nullWriter{header: make(http.Header)}
	reader := bytes.NewReader([]byte(body))
	if body != "" {
		r.Body = io.NopCloser(reader)
	}
	for b.Loop() {
		clear(w.header)
		reader.Reset([]byte(body))
		w.n = 0
		h.ServeHTTP(w, r)
	}
	if w.n != len(`{"sum":42}`) {
		b.Fatalf("%d bytes were answered", w.n)
	}
}

func BenchmarkPostJSON(b *testing.B) {
	for _, c := range []struct {
		name string
		h    http.Handler
	}{
		{"net-http", http.HandlerFunc(bareAdd)},
		{"Handle", asgi.Handle(add)},
		{"Respond", asgi.Respond(respondAdd)},
	} {
		b.Run(c.name, func(b *testing.B) {
			body := `{"a":2,"b":40}`
			r := httptest.NewRequest("POST", "/add", bytes.NewReader([]byte(body)))
			r.Header.Set("Content-Type", "application/json")
			benchmark(b, c.h, r, body)
		})
	}
}

func BenchmarkGetParams(b *testing.B) {
	for _, c := range []struct {
		name string
		h    http.Handler
	}{
		{"net-http", http.HandlerFunc(bareGet)},
		{"Handle", asgi.Handle(get)},
		{"Respond", asgi.Respond(respondGet)},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/things/30?limit=10", nil)
			r.SetPathValue("id", "30")
			r.Header.Set("Accept-Language", "it")
			benchmark(b, c.h, r, "")
		})
	}
}
