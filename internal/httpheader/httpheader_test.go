package httpheader

import (
	"mime"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func TestDisposition(t *testing.T) {
	for name, want := range map[string]string{
		"report.pdf":        `attachment; filename="report.pdf"`,
		"a b.txt":           `attachment; filename="a b.txt"`,
		"../../etc/passwd":  `attachment; filename="passwd"`,
		`C:\x\y.txt`:        `attachment; filename="y.txt"`,
		"naïve.txt":         `attachment; filename="na_ve.txt"; filename*=UTF-8''na%C3%AFve.txt`,
		`a"b.txt`:           `attachment; filename="a_b.txt"; filename*=UTF-8''a%22b.txt`,
		"x\r\nSet-Cookie: ": `attachment; filename="xSet-Cookie: "`,
		"a\u202Etxt.exe":    `attachment; filename="atxt.exe"`,
		"":                  "attachment",
		"..":                "attachment",
		"/":                 "attachment",
	} {
		if got := Disposition("attachment", name); got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", name, got, want)
		}
	}
}

// FuzzDisposition reads the header back with the standard library.
func FuzzDisposition(f *testing.F) {
	for _, name := range []string{
		"a.txt", "naïve.txt", `a"b\c`, "../x", "x\r\ny", "", "%41",
		"\xff", "a;b=c", "'",
	} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		value := Disposition("attachment", name)
		for i := range len(value) {
			if value[i] < ' ' || value[i] > '~' {
				t.Fatalf("%q is not plain ASCII", value)
			}
		}
		kind, params, err := mime.ParseMediaType(value)
		if err != nil || kind != "attachment" || len(params) > 1 {
			t.Fatalf("%q: %v, %q, %v", value, err, kind, params)
		}
		got, ok := params["filename"]
		if strings.ContainsAny(got, "/\\\r\n") || got == "." || got == ".." {
			t.Fatalf("%q names %q", value, got)
		}
		plain := utf8.ValidString(name) && name != "" && name != "." && name != ".." &&
			!strings.ContainsFunc(name,
				func(c rune) bool { return c < ' ' || c > '~' || c == '/' || c == '\\' })
		if plain && (!ok || got != name) {
			t.Fatalf("%q names %q, not %q", value, got, name)
		}
	})
}

func TestList(t *testing.T) {
	for _, c := range []struct{ lines, want []string }{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{" , ,"}, nil},
		{[]string{"gzip"}, []string{"gzip"}},
		{[]string{"gzip,br", "\tzstd "}, []string{"gzip", "br", "zstd"}},
		{[]string{`a;q="1,2", b`}, []string{`a;q="1,2"`, "b"}},
		{[]string{`a="\",", b`}, []string{`a="\","`, "b"}},
		{[]string{`"no end, b`, "c"}, []string{`"no end, b`, "c"}},
		{[]string{`"x\`}, []string{`"x\`}},
	} {
		if got := List(c.lines); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.lines, got, c.want)
		}
	}
}

func TestWithRange(t *testing.T) {
	for _, c := range []struct {
		method string
		sent   []string
		size   int64
		want   string // "" is none
	}{
		{"GET", nil, 10, ""},
		{"GET", []string{"bytes=0-1"}, 10, "bytes=0-1"},
		{"GET", []string{"BYTES = 0-1"}, 10, "bytes=0-1"},
		{"GET", []string{"bytes=3-4 ,, -2"}, 10, "bytes=3-4,-2"},
		{"GET", []string{"bytes=-0"}, 10, "bytes=10-"}, // not satisfiable
		{"GET", []string{"bytes=-0,5-"}, 10, "bytes=5-"},
		{"GET", []string{"bytes=5-99999999999999999999"}, 10, "bytes=5-9223372036854775807"},
		{"GET", []string{"bytes=x-1"}, 10, "bytes=x-1"}, // malformed
		{"GET", []string{"bytes=0-1,7"}, 10, "bytes=0-1,7"},
		{"GET", []string{"lines=0-1"}, 10, ""},
		{"GET", []string{"0-1"}, 10, ""},
		{"GET", []string{"bytes=0-1", "bytes=2-3"}, 10, ""},
		{"GET", []string{"bytes=0-1"}, 0, ""},
		{"HEAD", []string{"bytes=0-1"}, 10, ""},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		r.Header["Range"] = c.sent
		if got := WithRange(r, c.size).Header.Get("Range"); got != c.want {
			t.Errorf("%s %q of %d bytes: got %q, want %q", c.method, c.sent, c.size, got, c.want)
		}
		if !slices.Equal(r.Header["Range"], c.sent) {
			t.Errorf("%q became %q in the request itself", c.sent, r.Header["Range"])
		}
	}
}

func TestASCII(t *testing.T) {
	if got := ASCII("/caffè?q=%20€"); got != "/caff%C3%A8?q=%20%E2%82%AC" {
		t.Error(got)
	}
}
