package main

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func Example() {
	var labels bytes.Buffer
	r, err := routes(&labels)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, target := range [][2]string{
		{"GET", "/orders/7"},
		{"DELETE", "/orders/7"},
		{"GET", "/newest"},
		{"GET", "/files/terms.txt"},
		{"GET", "/no/such/page"},
	} {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(target[0], target[1], nil))
		fmt.Printf("%d %s %q\n", w.Code, w.Header().Get("Content-Type"),
			w.Header().Get("Allow")+w.Header().Get("Location"))
	}
	fmt.Print(&labels)
	// Output:
	// 200 text/plain; charset=utf-8 ""
	// 405 application/problem+json "GET"
	// 302 text/html; charset=utf-8 "/orders/7"
	// 200 text/plain; charset=utf-8 ""
	// 404 application/problem+json ""
	// GET /orders/{id}
	// DELETE unmatched
	// GET /newest
	// GET /files/*
	// GET unmatched
}
