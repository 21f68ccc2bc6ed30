package asgi

import (
	"context"
	"net/http/httptest"
	"testing"
)

// BenchmarkRequestContext makes the context of a request and finds the request by it: the Request
// itself, and the plain way beside it.
func BenchmarkRequestContext(b *testing.B) {
	hr := httptest.NewRequest("GET", "/", nil)
	found := func(b *testing.B, ctx context.Context, want *Request) {
		if r, ok := RequestFrom(ctx); !ok || r != want {
			b.Fatal("the request is not found")
		}
	}
	b.Run("own", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := &Request{http: hr}
			found(b, r.Context(), r)
		}
	})
	b.Run("WithValue", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := &Request{http: hr}
			found(b, context.WithValue(hr.Context(), requestKey{}, r), r)
		}
	})
}
