package asgi_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
)

func TestFile_RangesAreThoseOfRFC9110(t *testing.T) {
	dir := tree(t)
	if err := os.WriteFile(filepath.Join(dir, "empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const whole = "0123456789"
	for _, c := range []struct {
		method, file, value string
		status              int
		body, contentRange  string
	}{
		{"GET", "a.txt", "bytes=2-4", 206, "234", "bytes 2-4/10"},
		{"GET", "a.txt", "Bytes=2-4", 206, "234", "bytes 2-4/10"}, // range units have no case
		{"GET", "a.txt", "bytes=-3", 206, "789", "bytes 7-9/10"},
		{"GET", "a.txt", "bytes=7-", 206, "789", "bytes 7-9/10"},
		{"GET", "a.txt", "bytes=7-99999999999999999999", 206, "789", "bytes 7-9/10"},
		{"GET", "a.txt", "bytes=-99999999999999999999", 206, whole, "bytes 0-9/10"},
		{"GET", "a.txt", "bytes=-0, 1-2", 206, "12", "bytes 1-2/10"},
		{"GET", "a.txt", "bytes=-0", 416, "", "bytes */10"},
		{"GET", "a.txt", "bytes=-00,-0", 416, "", "bytes */10"},
		{"GET", "a.txt", "bytes=10-", 416, "", "bytes */10"},
		{"GET", "a.txt", "bytes=99999999999999999999-", 416, "", "bytes */10"},
		{"GET", "a.txt", "bytes=4-2", 416, "", ""},
		{"GET", "a.txt", "bytes=x-", 416, "", ""},
		{"GET", "a.txt", "items=0-1", 200, whole, ""},
		{"GET", "a.txt", "0-1", 200, whole, ""},
		{"HEAD", "a.txt", "bytes=0-1", 200, "", ""}, // a range is for GET
		{"GET", "empty", "bytes=-5", 200, "", ""},
		{"GET", "empty", "bytes=0-", 200, "", ""},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		r.Header.Set("Range", c.value)
		w := serve(t, give(asgi.File(dir, c.file)), r)
		if w.Code != c.status || w.Code < 300 && w.Body.String() != c.body ||
			w.Header().Get("Content-Range") != c.contentRange {
			t.Errorf("%s %q of %s: %d %q %q", c.method, c.value, c.file, w.Code, w.Body,
				w.Header().Get("Content-Range"))
		}
		if r.Header.Get("Range") != c.value {
			t.Errorf("the request's own header was changed to %q", r.Header.Get("Range"))
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Range"] = []string{"bytes=0-1", "bytes=4-5"}
	if w := serve(t, give(asgi.File(dir, "a.txt")), r); w.Code != 200 {
		t.Errorf("two headers: %d", w.Code)
	}
}
