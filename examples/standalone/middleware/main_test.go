package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // Errors logs the panic
	leakcheck.Main(m)
}

func Example() {
	var logged bytes.Buffer
	h := handler(&logged)
	for _, path := range []string{"/hello", "/panic", "/nowhere"} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("X-Request-Id", "r1")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("Access-Control-Allow-Origin"),
			w.Header().Get("X-Content-Type-Options"))
		fmt.Println(w.Body)
	}
	fmt.Print(&logged)
	// Output:
	// 200 https://app.example nosniff
	// hello
	//
	// 500 https://app.example nosniff
	// {"title":"Internal Server Error","status":500,"request_id":"r1"}
	// 404 https://app.example nosniff
	// {"title":"Not Found","status":404,"request_id":"r1"}
	// GET /hello: 200, 6 bytes
	// GET /panic: 500, 64 bytes
	// GET /nowhere: 404, 52 bytes
}
