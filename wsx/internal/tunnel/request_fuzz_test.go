package tunnel

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// FuzzRequest holds the tunnel's reading to two others: json/v2 for the message, and for the
// request it makes net/http's server, which must read the very same from what a client would have
// sent.
func FuzzRequest(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(checkRequest)
}

func TestRequest_ReadsSeedsAsOthersDo(t *testing.T) {
	for _, s := range seeds() {
		for n := range len(s) + 1 {
			checkRequest(t, []byte(s[:n]))
		}
	}
}

func seeds() []string {
	return []string{
		`{"id":1,"method":"GET","path":"/a/b%20c","query":{"q":["1","ü&"],"r":"x"},` +
			`"headers":{"Accept":"text/html","if-match":["\"1\"","\"2\""]}}`,
		`{"id":"x","method":"POST","path":"/","query":"a=1&b=%0a","data":{"a":[1,2]}}`,
		`{"id":1,"method":"PUT","path":"/f","headers":{"content-type":"text/plain"},` +
			`"data":"line\r\n"}`,
		`{"id":1,"method":"PUT","path":"/f","headers":{"content-type":"application/x-y"},` +
			`"data":{"base64":"AAEC"}}`,
		`{"id":1,"method":"GET","path":"//evil.example/"}`,
		`{"id":1,"method":"GET","path":"/%2f/x"}`, `{"id":1,"method":"GET","path":"/a/../b"}`,
		`{"id":1,"method":"GET","path":"/a/%2e%2E/b"}`,
		`{"id":1,"method":"GET","path":"/a\r\nX: y"}`, `{"id":1,"method":"GET","path":"/%0d%0aX"}`,
		`{"id":1,"method":"GET","path":"/a?b#c"}`, `{"id":1,"method":"GET","path":"http://evil/"}`,
		`{"id":1,"method":"G T","path":"/"}`,
		`{"id":1,"method":"GET","path":"/%zz"}`, `{"id":1,"method":"GET","path":"/\\evil"}`,
		`{"id":1,"method":"GET","path":"/ü"}`,
		`{"id":1,"method":"GET","path":"/","headers":{"accept":"a\r\nHost: b"}}`,
		`{"id":1,"method":"GET","path":"/","headers":{"a b":"c"}}`,
		`{"id":1,"method":"GET","path":"/","headers":{"Accept":"a","accept":"b"}}`,
		`{"id":1,"method":"GET","path":"/","headers":{"host":"evil","cookie":"c=1"}}`,
		`{"id":null,"method":"GET","path":"/"}`, `{"id":1,"id":2,"method":"GET","path":"/"}`,
		`{"method":"GET","path":"/"}`, `[]`, `{}`, ``,
		`{"id":1,"method":"GET","path":"/","query":" "}`,
		`{"id":1,"method":"GET","path":"/","query":7}`,
		`{"id":1,"method":"GET","path":"/","more":[]}`,
	}
}

var plainPath = regexp.MustCompile(`^(/[A-Za-z0-9_~-]+)+$`)

func checkRequest(t *testing.T, raw []byte) {
	var got wire.TunnelRequest
	fault := got.Parse(raw, 0)

	members := map[string]jsontext.Value{}
	strict := json.Unmarshal(raw, &members, jsontext.AllowInvalidUTF8(true)) == nil &&
		utf8.Valid(raw) && bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{"))
	if !strict { // duplicates deeper than in the message are found by who reads them
		members = map[string]jsontext.Value{}
		lax := json.Unmarshal(raw, &members, jsontext.AllowInvalidUTF8(true),
			jsontext.AllowDuplicateNames(true)) == nil
		if fault == wire.OK && !lax {
			t.Fatalf("%q is no JSON object and was read", raw)
		}
	}
	var method, path string
	okMethod := json.Unmarshal(members["method"], &method) == nil && members["method"].Kind() == '"'
	okPath := json.Unmarshal(members["path"], &path) == nil && members["path"].Kind() == '"'
	var id string
	okID := members["id"].Kind() == '0' || members["id"].Kind() == '"' &&
		json.Unmarshal(members["id"], &id) == nil
	good := strict && okMethod && okPath && okID
	if good && fault != wire.OK && fault != wire.TooDeep || fault == wire.OK &&
		!(okMethod && okPath && okID) {
		t.Fatalf("%q: fault %q, but id %v, method %v, path %v", raw, fault.Text(), okID, okMethod,
			okPath)
	}
	if fault != wire.OK {
		return
	}
	if string(got.Method) != method || string(got.Path) != path ||
		!bytes.Equal(got.ID, members["id"]) || !bytes.Equal(got.Data, members["data"]) {
		t.Fatalf("%q was read as %+v", raw, got)
	}

	upgrade, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
		"http://upgrade.example/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	upgrade.Header.Set("Cookie", "session=1")
	allowed := NewAllowList(nil)
	r, err := Request(t.Context(), upgrade, &allowed, &got)
	if err != nil {
		if e, ok := errors.AsType[*MalformedError](err); !ok || e.Text == "" {
			t.Fatalf("%q: %v", raw, err)
		}
		if isToken(method) && plainPath.MatchString(path) && got.Headers == nil &&
			got.Query == nil && got.Data == nil {
			t.Fatalf("%q was refused: %v", raw, err)
		}
		return
	}
	sameRequest(t, raw, r)
}

// sameRequest writes r as a client does and reads it as net/http's server does.
func sameRequest(t *testing.T, raw []byte, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.Method, r.RequestURI,
		r.Host, len(body))
	for name, values := range r.Header {
		for _, value := range values {
			fmt.Fprintf(&b, "%s: %s\r\n", name, value)
		}
	}
	b.WriteString("\r\n" + string(body))
	in := bufio.NewReader(strings.NewReader(b.String()))
	want, err := http.ReadRequest(in)
	if err != nil {
		t.Fatalf("%q makes a request that is none: %v\n%s", raw, err, b.String())
	}
	wantBody, err := io.ReadAll(want.Body)
	if err != nil || in.Buffered() > 0 {
		t.Fatalf("%q makes more or less than one request: %v\n%s", raw, err, b.String())
	}
	want.Header.Del("Content-Length")
	if want.Method != r.Method || want.Host != "upgrade.example" ||
		!reflect.DeepEqual(want.URL, r.URL) || want.RequestURI != r.RequestURI ||
		!reflect.DeepEqual(want.Header, r.Header) || !bytes.Equal(wantBody, body) {
		t.Fatalf("%q\nmakes %s %q %v %q\nread  %s %q %v %q", raw, r.Method, r.URL, r.Header, body,
			want.Method, want.URL, want.Header, wantBody)
	}
	for _, segment := range strings.Split(r.URL.Path, "/") {
		if segment == ".." || segment == "." {
			t.Fatalf("%q has dot segments: %q", raw, r.URL.Path)
		}
	}
	if strings.HasPrefix(r.URL.Path, "//") || strings.ContainsFunc(r.URL.Path, isControl) ||
		r.Header.Get("Cookie") != "session=1" {
		t.Fatalf("%q passed as %q %v", raw, r.URL.Path, r.Header)
	}
}
