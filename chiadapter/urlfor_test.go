package chiadapter_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/chiadapter"
)

func ExampleURLFor() {
	const orderFile = "/orders/{id}/files/*"
	fmt.Println(chiadapter.URLFor(orderFile, "id", "a/b", "*", "2026/march report.pdf"))
	fmt.Println(chiadapter.URLFor(orderFile, "id", "42"))
	// Output:
	// /orders/a%2Fb/files/2026/march%20report.pdf <nil>
	//  chiadapter: URLFor "/orders/{id}/files/*": parameter "*": is missing
}

func TestURLFor_FillsThePattern(t *testing.T) {
	for _, c := range []struct {
		pattern string
		pairs   []string
		want    string
	}{
		{"/", nil, "/"},
		{"/a/b", nil, "/a/b"},
		{"/café", nil, "/caf%C3%A9"},
		{"/o/{id}", []string{"id", "7"}, "/o/7"},
		{"/o/{id}/", []string{"id", "7"}, "/o/7/"},
		{"/{a}-{b}.{c}", []string{"a", "1", "c", "3", "b", "2"}, "/1-2.3"},
		{"/o/{id}", []string{"id", "a b?c#d%e;é"}, "/o/a%20b%3Fc%23d%25e;%C3%A9"},
		{"/o/{id}", []string{"id", `\evil`}, "/o/%5Cevil"},
		{"/o/{id:[0-9]{2,3}}/x", []string{"id", "123"}, "/o/123/x"},
		{"/o/{id:^a|b$}", []string{"id", "b"}, "/o/b"},
		{"/o/{id:}", []string{"id", "x"}, "/o/x"},
		{"/f/*", []string{"*", ""}, "/f/"},
		{"/f/*", []string{"*", "a/b c/"}, "/f/a/b%20c/"},
		{"/*", []string{"*", "x//y"}, "/x//y"},
	} {
		got, err := chiadapter.URLFor(c.pattern, c.pairs...)
		if got != c.want || err != nil {
			t.Errorf("%q %q: %q, %v; want %q", c.pattern, c.pairs, got, err, c.want)
		}
	}
}

func TestURLFor_RefusesWhatWouldNotRoute(t *testing.T) {
	for _, c := range []struct {
		pattern string
		pairs   []string
		param   string
	}{
		{"/o/{id}", nil, "id"},
		{"/o/{id}", []string{"id"}, "id"},
		{"/o/{id}", []string{"id", ""}, "id"},
		{"/o/{id}", []string{"id", "1", "id", "2"}, "id"},
		{"/o/{id}", []string{"id", "1", "x", "2"}, "x"},
		{"/o", []string{"x", "2"}, "x"},
		{"/o/{id}", []string{"id", "."}, ""},
		{"/o/{id}/x", []string{"id", ".."}, ""},
		{"/o/.{id}", []string{"id", "."}, ""},
		{"/f/*", []string{"*", "a/../b"}, ""},
		{"/*", []string{"*", "/evil.test"}, "*"},
		{"/{n}.json", []string{"n", "a.b"}, "n"},
		{"/{a}2{b}", []string{"a", "x", "b", "y/z"}, ""},
		{"/{a}2{b}", []string{"a", "x/y", "b", "z"}, "a"},
		{"/o/{id:[0-9]+}", []string{"id", "x"}, "id"},
		{"/o/{id:[0-9]+}", []string{"id", "1/2"}, "id"},
		{"/o/{id:[}", []string{"id", "1"}, "id"},
		{"/café/{id}", []string{"id", "1/2"}, ""},
		{"", nil, ""},
		{"o", nil, ""},
		{"//o", nil, ""},
		{"/o/{id", nil, ""},
		{"/o/{}", nil, ""},
		{"/o/{id}/{id}", []string{"id", "1"}, "id"},
		{"/*/x", []string{"*", "1"}, "*"},
	} {
		got, err := chiadapter.URLFor(c.pattern, c.pairs...)
		if c.pattern == "/{a}2{b}" && c.param == "" {
			// the escaped value of b is behind the 2, where it does no harm
			if err != nil {
				t.Errorf("%q %q: %v", c.pattern, c.pairs, err)
			}
			continue
		}
		bad, found := errors.AsType[*chiadapter.URLError](err)
		if got != "" || !found || bad.Param != c.param || bad.Pattern != c.pattern ||
			bad.Reason == "" {
			t.Errorf("%q %q: %q, %v", c.pattern, c.pairs, got, err)
		}
	}
}

// FuzzURLFor holds URLFor against chi: what it makes, a router with the pattern takes and finds the
// values in again.
func FuzzURLFor(f *testing.F) {
	f.Add("7", "x", "a/b")
	f.Add("a/b", "%2F", "")
	f.Add("..", "é", "../x")
	f.Add("-", ".", "//")
	f.Add("a;b,c:d@e&f=g+h$i!j*k'(l)", "x", "?#")
	f.Fuzz(func(t *testing.T, a, b, rest string) {
		const pattern = "/p/{a}-{b}.x/{c:[^.]+}/*"
		made, err := chiadapter.URLFor(pattern, "a", a, "b", b, "c", b, "*", rest)
		if err != nil {
			return
		}
		u, err := url.ParseRequestURI(made)
		if err != nil || u.Host != "" || strings.HasPrefix(made, "//") || u.EscapedPath() != made {
			t.Fatalf("%q is no path: %v", made, err)
		}
		routed := false
		r := chi.NewRouter()
		r.Get(pattern, func(_ http.ResponseWriter, r *http.Request) {
			routed = true
			for name, want := range map[string]string{"a": a, "b": b, "c": b, "*": rest} {
				got := chi.URLParam(r, name)
				if r.URL.RawPath != "" {
					if got, err = url.PathUnescape(got); err != nil {
						t.Fatal(err)
					}
				}
				if got != want {
					t.Errorf("%q: %s is %q, want %q", made, name, got, want)
				}
			}
		})
		r.ServeHTTP(httptest.NewRecorder(), &http.Request{Method: "GET", URL: u})
		if !routed {
			t.Fatalf("chi does not route %q", made)
		}
	})
}
