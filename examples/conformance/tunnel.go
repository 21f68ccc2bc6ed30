package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/wsx"
)

// chunks is how many of them GET /stream flushes.
const chunks = 3

// tunnelled is the chi router of section 8.
func tunnelled() http.Handler {
	r := chi.NewRouter()
	r.Get("/hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, map[string]string{"hello": r.PathValue("name")})
	})
	r.Post("/echo", func(w http.ResponseWriter, r *http.Request) {
		var in jsontext.Value
		if err := json.UnmarshalRead(http.MaxBytesReader(w, r.Body, 1<<20), &in); err != nil {
			asgi.WriteError(w, r, asgi.NewHTTPError(http.StatusBadRequest, ""))
			return
		}
		writeJSON(w, in)
	})
	r.Get("/text", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprint(w, "plain text, è così")
	})
	r.Get("/bin", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		b := make([]byte, 256)
		for i := range b {
			b[i] = byte(i)
		}
		_, _ = w.Write(b)
	})
	r.Get("/stream", stream)
	r.Get("/headers", headers)
	r.Get("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil || code < 200 || code > 599 {
			code = http.StatusBadRequest
		}
		if code < http.StatusBadRequest {
			w.WriteHeader(code)
			return
		}
		asgi.WriteError(w, r, asgi.NewHTTPError(code, ""))
	})
	return r
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// the client is gone, or the tunnel's limit reached: both are seen there
	_ = json.MarshalWrite(w, v)
}

// stream flushes its chunks, wait_ms apart.
func stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	wait, _ := strconv.Atoi(r.URL.Query().Get("wait_ms")) // none, or nonsense, is 0
	for i := range chunks {
		if i > 0 && wait > 0 {
			select {
			case <-time.After(time.Duration(wait) * time.Millisecond):
			case <-r.Context().Done():
				return
			}
		}
		fmt.Fprintf(w, `{"chunk":%d}`, i)
		if http.NewResponseController(w).Flush() != nil {
			return
		}
	}
}

// headers answers what has arrived: the headers, in lower case, and what else there is, behind a
// colon.
func headers(w http.ResponseWriter, r *http.Request) {
	out := map[string]string{
		":host": r.Host, ":query": r.URL.RawQuery,
		":subject": wsx.IdentityFrom(r.Context()).Subject,
	}
	for name, values := range r.Header {
		out[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	writeJSON(w, out)
}
