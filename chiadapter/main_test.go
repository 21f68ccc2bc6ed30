package chiadapter_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

// unlisted is a method that the program of these tests adds to those of chi.
const unlisted = "LINK"

func TestMain(m *testing.M) {
	chi.RegisterMethod(unlisted) // for all tests alike, as chi has one list
	leakcheck.Main(m)
}

func do(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
