package asgi_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
)

// serve runs one request through h without a socket.
func serve(t *testing.T, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(quiet(r.Context())))
	return w
}

// see runs check on the asgi.Request of r.
func see(t *testing.T, r *http.Request, check func(*asgi.Request)) {
	t.Helper()
	seen := false
	w := serve(t, asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		seen = true
		check(r)
		return asgi.NoContent(), nil
	}), r)
	if !seen || w.Code != 204 {
		t.Errorf("status %d", w.Code)
	}
}

func TestRequest_TellsWhatTheClientSent(t *testing.T) {
	hr := httptest.NewRequest("PUT", "/a%2Fb?x=1", nil)
	hr.RemoteAddr = "192.0.2.7:4711"
	hr.Header.Set("X-Thing", "yes")
	hr.AddCookie(&http.Cookie{Name: "sid", Value: "s1"})
	hr.SetPathValue("id", "42")
	hr.SetPathValue("name", "x")
	see(t, hr, func(r *asgi.Request) {
		if r.Method() != "PUT" || r.HTTP().Method != "PUT" {
			t.Errorf("method %s", r.Method())
		}
		if got := r.Client(); got != (asgi.Address{Host: "192.0.2.7", Port: 4711}) {
			t.Errorf("client %v", got)
		}
		if got := r.Headers().Get("x-thing"); got != "yes" {
			t.Errorf("header %q", got)
		}
		if got, ok := r.Cookie("sid"); got != "s1" || !ok {
			t.Errorf("cookie %q, %v", got, ok)
		}
		if _, ok := r.Cookie("none"); ok {
			t.Error("a cookie that was not sent")
		}
		if got, err := r.PathInt("id"); got != 42 || err != nil {
			t.Errorf("path %d, %v", got, err)
		}
		if got := r.PathValue("name"); got != "x" {
			t.Errorf("path %q", got)
		}
		var invalid *asgi.HTTPError
		if _, err := r.PathInt("name"); !errors.As(err, &invalid) || invalid.Status != 422 {
			t.Errorf("error %v for a path value that is no integer", err)
		}
		if n, err := r.Query().Int("x", 0); n != 1 || err != nil {
			t.Errorf("query %d, %v", n, err)
		}
		if found, ok := asgi.RequestFrom(r.Context()); found != r || !ok {
			t.Error("the context leads to another request")
		}
		ctx, cancel := context.WithTimeout(r.Context(), time.Hour)
		defer cancel()
		if found, _ := asgi.RequestFrom(ctx); found != r {
			t.Error("a derived context leads to another request")
		}
		if _, ok := r.Context().Deadline(); ok ||
			r.Context().Done() == nil != (r.HTTP().Context().Done() == nil) {
			t.Error("the context has another end than the request's")
		}
	})
	if _, ok := asgi.RequestFrom(t.Context()); ok {
		t.Error("a request out of nowhere")
	}
}

func TestRequest_StateIsSharedWithMiddleware(t *testing.T) {
	key := asgi.NewKey[string]("user")
	var s asgi.State
	key.Set(&s, "ada")
	hr := httptest.NewRequest("GET", "/", nil)
	see(t, hr.WithContext(asgi.ContextWithState(t.Context(), &s)), func(r *asgi.Request) {
		if got, _ := key.Get(r.State()); got != "ada" {
			t.Errorf("got %q", got)
		}
	})
	see(t, hr, func(r *asgi.Request) {
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { key.Set(asgi.StateFrom(r.Context()), "bob") })
		}
		wg.Wait()
		if got, _ := key.Get(r.State()); got != "bob" {
			t.Errorf("got %q", got)
		}
	})
}

func TestRequest_URLIsWhatTheClientSaw(t *testing.T) {
	plain := func() *http.Request {
		return httptest.NewRequest("GET", "http://app.example:8080/v1/x%2Fy?q=1", nil)
	}
	for name, c := range map[string]struct {
		r    func() *http.Request
		want string
	}{
		"plain": {plain, "http://app.example:8080/v1/x%2Fy?q=1"},
		"over TLS": {func() *http.Request {
			r := plain()
			r.TLS = &tls.ConnectionState{}
			return r
		}, "https://app.example:8080/v1/x%2Fy?q=1"},
		"with a prefix stripped": {func() *http.Request {
			r := plain()
			r.RequestURI = "/v1/x%2Fy?q=1"
			r.URL.Path, r.URL.RawPath = "/x/y", "/x%2Fy"
			return r
		}, "http://app.example:8080/v1/x%2Fy?q=1"},
		"made by no server": {func() *http.Request {
			r := plain()
			r.RequestURI = ""
			return r
		}, "http://app.example:8080/v1/x%2Fy?q=1"},
		"with untrusted headers": {func() *http.Request {
			r := plain()
			for _, name := range []string{
				"X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded",
				"X-Real-Ip",
			} {
				r.Header.Set(name, "evil.example")
			}
			return r
		}, "http://app.example:8080/v1/x%2Fy?q=1"},
		"behind a proxy": {func() *http.Request {
			r := plain()
			return r.WithContext(asgi.ContextWithForwarded(r.Context(),
				asgi.Forwarded{Scheme: "https", Host: "shop.example"}))
		}, "https://shop.example/v1/x%2Fy?q=1"},
	} {
		t.Run(name, func(t *testing.T) {
			see(t, c.r(), func(r *asgi.Request) {
				u := r.URL()
				if got := u.String(); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				if want := strings.Join(strings.SplitN(c.want, "/", 4)[:3], "/"); u.Origin() !=
					want {
					t.Errorf("origin %s, want %s", u.Origin(), want)
				}
				if u.Secure() != strings.HasPrefix(c.want, "https:") || u.Query().Get("q") != "1" {
					t.Errorf("secure %v, q %q", u.Secure(), u.Query().Get("q"))
				}
			})
		})
	}
}

func TestRequest_ClientBehindAProxy(t *testing.T) {
	hr := httptest.NewRequest("GET", "/", nil)
	ctx := asgi.ContextWithForwarded(t.Context(),
		asgi.Forwarded{Client: asgi.ParseAddress("2001:db8::1")})
	see(t, hr.WithContext(ctx), func(r *asgi.Request) {
		if got := r.Client().Host; got != "2001:db8::1" {
			t.Errorf("client %q", got)
		}
	})
}

func TestAddress_Parse(t *testing.T) {
	for in, want := range map[string]asgi.Address{
		"192.0.2.1:80":      {Host: "192.0.2.1", Port: 80},
		"[2001:db8::1]:443": {Host: "2001:db8::1", Port: 443},
		"2001:db8::1":       {Host: "2001:db8::1"},
		"[2001:db8::1]":     {Host: "2001:db8::1"},
		"192.0.2.1":         {Host: "192.0.2.1"},
		"@":                 {Host: "@"},
		"":                  {},
		"host:99999":        {Host: "host:99999"},
	} {
		got := asgi.ParseAddress(in)
		if got != want {
			t.Errorf("%q: got %#v, want %#v", in, got, want)
		}
		if again := asgi.ParseAddress(got.String()); again != got {
			t.Errorf("%q: %#v when read again", in, again)
		}
	}
	if ip, ok := asgi.ParseAddress("[::ffff:192.0.2.1]:1").IP(); ip !=
		netip.MustParseAddr("192.0.2.1") || !ok {
		t.Errorf("IP %v, %v", ip, ok)
	}
	if _, ok := asgi.ParseAddress("@").IP(); ok {
		t.Error("a name is an IP address")
	}
}

func TestHeaders_List(t *testing.T) {
	h := asgi.Headers{"Accept": {`a;q="x,\"y", b ,,`, "\tc"}, "Empty": {""}}
	if got, want := h.List("accept"), []string{`a;q="x,\"y"`, "b", "c"}; !reflect.DeepEqual(got,
		want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := h.List("Empty"); got != nil {
		t.Errorf("got %q", got)
	}
	if !h.Has("empty") || h.Has("none") || len(h.Values("accept")) != 2 {
		t.Error("Has or Values is wrong")
	}
	if got := (asgi.Headers{"A": {`"x\`}}).List("A"); len(got) != 1 {
		t.Errorf("got %q for a string without an end", got)
	}
}

func TestQueryParams_TypedGetters(t *testing.T) {
	q := asgi.ParseQuery(
		"i=-7&f=1.5&b=true&t=2024-02-29T12:00:00Z&d=1m30s&s=a+b%21&e=&twice=1&twice=2&bad=x&" +
			"big=99999999999999999999&nan=NaN&x%2Fy=z")
	at := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	get := func(value any, err error) any {
		if err != nil {
			var failed *asgi.HTTPError
			if !errors.As(err, &failed) {
				return err
			}
			fields := failed.Fields
			if failed.Status != 422 || len(fields) != 1 || fields[0].In != "query" {
				return failed
			}
			return fields[0].Pointer + " " + fields[0].Detail
		}
		return value
	}
	pack := func(value any, err error) [2]any { return [2]any{value, err} }
	for name, c := range map[string]struct {
		got  [2]any
		want any
	}{
		"int":            {pack(q.Int("i", 1)), -7},
		"float":          {pack(q.Float("f", 1)), 1.5},
		"bool":           {pack(q.Bool("b", false)), true},
		"time":           {pack(q.Time("t", time.Time{})), at},
		"duration":       {pack(q.Duration("d", 0)), 90 * time.Second},
		"string":         {pack(q.String("s", "")), "a b!"},
		"empty string":   {pack(q.String("e", "x")), ""},
		"default int":    {pack(q.Int("none", 3)), 3},
		"default string": {pack(q.String("none", "d")), "d"},
		"default time":   {pack(q.Time("none", at)), at},
		"no int":         {pack(q.Int("bad", 3)), "/bad must be an integer"},
		"empty int":      {pack(q.Int("e", 3)), 3}, // a field of a form that was left empty
		"empty time":     {pack(q.Time("e", at)), at},
		"too large":      {pack(q.Int("big", 3)), "/big is out of range"},
		"no float":       {pack(q.Float("bad", 3)), "/bad must be a finite number"},
		"not a number":   {pack(q.Float("nan", 3)), "/nan must be a finite number"},
		"no bool":        {pack(q.Bool("bad", false)), "/bad must be true or false"},
		"no time": {
			pack(q.Time("bad", at)),
			"/bad must be a time such as 2006-01-02T15:04:05Z (RFC 3339)",
		},
		"no duration": {
			pack(q.Duration("bad", 0)),
			"/bad must be a duration such as 1m30s",
		},
		"twice":                {pack(q.Int("twice", 3)), "/twice must be given once"},
		"a name to be escaped": {pack(q.Int("x/y", 3)), "/x~1y must be an integer"},
	} {
		t.Run(name, func(t *testing.T) {
			err, _ := c.got[1].(error)
			if got := get(c.got[0], err); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if !q.Has("e") || q.Has("none") || q.Get("twice") != "1" ||
		!reflect.DeepEqual(q.Values("twice"), []string{"1", "2"}) {
		t.Error("Has, Get or Values is wrong")
	}
	n := 0
	for name, value := range q.All() {
		if n++; n == 1 && (name != "i" || value != "-7") {
			t.Errorf("%q=%q comes first", name, value)
		}
		if n == 3 {
			break
		}
	}
}

func TestQueryParams_MalformedIs400(t *testing.T) {
	for _, raw := range []string{"a=%zz", "%zz=1", "a=1;b=2", strings.Repeat("a&", 10001)} {
		q := asgi.ParseQuery(raw)
		var failed *asgi.HTTPError
		if _, err := q.Int("a", 0); !errors.As(err, &failed) || failed.Status != 400 ||
			q.Err() == nil {
			t.Errorf("%.20q: %v, %v", raw, err, q.Err())
		}
	}
	if err := asgi.ParseQuery("").Err(); err != nil {
		t.Error(err)
	}
}

func TestCookie_SafeByDefault(t *testing.T) {
	for name, c := range map[string]struct {
		cookie asgi.Cookie
		want   string
	}{
		"zero": {
			asgi.Cookie{Name: "a", Value: "b"},
			"a=b; Path=/; HttpOnly; Secure; SameSite=Lax",
		},
		"relaxed": {
			asgi.Cookie{
				Name: "a", Value: "b", Path: "/x", Insecure: true, Script: true,
				SameSite: http.SameSiteStrictMode,
			}, "a=b; Path=/x; SameSite=Strict",
		},
		"aged": {
			asgi.Cookie{Name: "a", MaxAge: 90 * time.Second},
			"a=; Path=/; Max-Age=90; HttpOnly; Secure; SameSite=Lax",
		},
		"short": {
			asgi.Cookie{Name: "a", MaxAge: time.Millisecond},
			"a=; Path=/; Max-Age=1; HttpOnly; Secure; SameSite=Lax",
		},
		"deleted": {
			asgi.Cookie{Name: "a", MaxAge: -1},
			"a=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			if err := asgi.SetCookie(w, c.cookie); err != nil {
				t.Fatal(err)
			}
			if got := w.Header().Get("Set-Cookie"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
	for name, bad := range map[string]asgi.Cookie{
		"no name":        {Value: "b"},
		"line break":     {Name: "a", Value: "b\r\nSet-Cookie: c=d"},
		"path":           {Name: "a", Path: "/;x"},
		"open to others": {Name: "a", Insecure: true, SameSite: http.SameSiteNoneMode},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			if err := asgi.SetCookie(w, bad); err == nil || w.Header().Get("Set-Cookie") != "" {
				t.Errorf("%v, header %q", err, w.Header().Get("Set-Cookie"))
			}
			rec := serve(t, asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
				return asgi.Text("x").Cookie(bad), nil
			}), httptest.NewRequest("GET", "/", nil))
			if rec.Code != 500 {
				t.Errorf("status %d", rec.Code)
			}
		})
	}
}

func TestRequest_SetsHeadersAndCookiesOfTheAnswer(t *testing.T) {
	w := serve(t, asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		r.ResponseHeader().Set("X-One", "1")
		r.ResponseHeader().Set("X-Two", "1")
		if err := r.SetCookie(asgi.Cookie{Name: "a", Value: "1"}); err != nil {
			return nil, err
		}
		return asgi.Text("x").Header("X-Two", "2").Cookie(asgi.Cookie{Name: "b", Value: "2"}), nil
	}), httptest.NewRequest("GET", "/", nil))
	h := w.Header()
	if h.Get("X-One") != "1" || h.Get("X-Two") != "2" || len(h["X-Two"]) != 1 ||
		len(h["Set-Cookie"]) != 2 {
		t.Errorf("headers %v", h)
	}
}
