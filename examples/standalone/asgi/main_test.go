package main

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func Example() {
	for _, path := range []string{"/hello/Ada?times=2", "/hello/Ada?times=11", "/"} {
		w := httptest.NewRecorder()
		routes().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		body := strings.ReplaceAll(w.Body.String(), `,"errors":`, "\n     "+`,"errors":`)
		fmt.Println(w.Code, w.Header().Get("Location"), body)
	}
	// Output:
	// 200  {"greeting":"Hello, Hello, Ada"}
	// 422  {"title":"Unprocessable Entity","status":422,"detail":"The request has invalid fields."
	//      ,"errors":[{"in":"query","pointer":"/times","detail":"must be from 0 to 10"}]}
	// 303 /hello/you
}
