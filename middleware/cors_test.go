package middleware_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/middleware"
)

func ExampleCORS() {
	cors := middleware.CORS(&middleware.CORSOptions{
		AllowedOrigins:   []string{"https://app.example"},
		AllowCredentials: true,
	})
	h := cors(http.NotFoundHandler())

	for _, origin := range []string{"https://app.example", "https://evil.example"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Printf("%q %q\n", w.Header().Get("Access-Control-Allow-Origin"), w.Header().Get("Vary"))
	}
	// Output:
	// "https://app.example" "Origin"
	// "" "Origin"
}

func ExampleNewCORS() {
	_, err := middleware.NewCORS(
		&middleware.CORSOptions{AllowedOrigins: []string{"https://app.example/"}})
	for part := range strings.SplitSeq(err.Error(), ": the") {
		fmt.Println(part)
	}
	// Output:
	// middleware: CORSOptions.AllowedOrigins: "https://app.example/"
	//  host may only hold letters, digits, -, _ and . (no path, no user, no trailing slash)
}

// ask sends an actual request and a preflight with the same Origin headers and returns the headers
// of both answers.
func ask(mw func(http.Handler) http.Handler, host string,
	origins ...string,
) (actual, preflight http.Header) {
	h := mw(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
	}))
	for _, method := range []string{"GET", "OPTIONS"} {
		r := httptest.NewRequest(method, "/", nil)
		r.Host = host
		if len(origins) > 0 {
			r.Header["Origin"] = origins
		}
		if method == "OPTIONS" {
			r.Header.Set("Access-Control-Request-Method", "GET")
			r.Header.Set("Access-Control-Request-Private-Network", "true")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		actual, preflight = preflight, w.Header()
	}
	return actual, preflight
}

func granted(h http.Header) []string {
	var names []string
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			names = append(names, name)
		}
	}
	return names
}

// badOrigins are values of the Origin header that no policy for https://app.example,
// http://localhost:3000 and https://*.example.org may take for one of these.
func badOrigins() []string {
	var bad []string
	for _, host := range []string{"app.example", "localhost:3000", "a.example.org"} {
		scheme := "https"
		if strings.HasPrefix(host, "localhost") {
			scheme = "http"
		}
		good := scheme + "://" + host
		bare, _, _ := strings.Cut(host, ":")
		bad = append(bad,
			host, "//"+host, ":"+"//"+host, scheme+":"+host, scheme+":/"+host, scheme+":///"+host,
			scheme+"//"+host,
			good+"/", good+"/x", good+"?q", good+"#f", good+"/../", good+`\`, good+`\@evil.test`,
			good+";", good+",", good+" ", " "+good, "\t"+good,
			good+"\x00", good+"\x00.evil.test", good+"%00", good+"%2eevil.test", good+".",
			good+"..", good+":", good+":0", good+":443x", good+":+443",
			good+":00443", good+":99999", good+":-1", good+":8443", scheme+"://user@"+host,
			scheme+"://user:pw@"+host, scheme+"://@"+host,
			good+"@evil.test", good+".evil.test", scheme+"://evil.test/"+host,
			scheme+"://evil.test?"+host, scheme+"://evil.test#"+host,
			scheme+"://evil"+host+"x", scheme+"://evil-"+bare+"x", scheme+"://"+host+"evil.test",
			good+" https://evil.test", good+","+good,
			strings.ToUpper(good), strings.ToUpper(scheme)+"://"+host,
			scheme+"://"+strings.ToUpper(host),
			"ftp://"+host, "ws://"+host, "wss://"+host, "javascript://"+host, "data://"+host,
			"file://"+host, "blob:"+good,
			"view-source:"+good, "https+x://"+host, scheme+"s://"+host, scheme+"://["+bare+"]",
			scheme+"://"+bare+"\u3002evil.test",
			scheme+"://"+strings.Replace(host, "a", "\u0430", 1)+"x", scheme+"://xn--"+host+"x",
			good+"\n", good+"\r\nX: y",
		)
		if scheme == "https" {
			bad = append(bad, "http://"+host, good+":443", good+":80")
		} else {
			bad = append(bad, "https://"+host, "http://localhost", "http://localhost:3001",
				"http://localhost:30000", "http://127.0.0.1:3000", "http://[::1]:3000")
		}
	}
	return append(bad,
		"", "null", "NULL", "Null", "*", "https://*", "https://", "://", "/", ".",
		"https://*.example.org", "https://*example.org",
		"https://example.org", "https://.example.org", "https://evilexample.org",
		"https://evil-example.org", "https://a..example.org",
		"https://a.example.org.evil.test", "https://a.example.orgevil.test",
		"https://evil.test/.example.org", "https://evil.test?.example.org",
		"https://evil.test#.example.org", "https://evil.test:.example.org",
		"https://evil.test@.example.org", "https://evil.test\\.example.org",
		"https://evil.test%2f.example.org", "https://u@a.example.org", "https://A.example.org",
		"https://a.Example.org", "https://a.example.org:8443",
		"http://a.example.org", "https://[a.example.org]", "https://a b.example.org",
		"https://a\t.example.org", "https://\u00e9.example.org",
		"https://"+strings.Repeat("a", 64)+".example.org",
		"https://"+strings.Repeat("a.", 130)+"example.org", "https://evil.test",
		"https://localhost",
		"http://app.example:80", "https://app.example:444", "https://sub.app.example",
		"https://example", "https://app.exampl", "https://app.example2",
	)
}

func TestCORS_NoBadOriginIsAccepted(t *testing.T) {
	bad, hosts := badOrigins(), []string{
		"app.example", "localhost:3000", "a.example.org",
		"evil.test", "app.example:443", "",
	}
	if n := len(bad) * len(hosts); n < 200 {
		t.Fatalf("only %d combinations", n)
	}
	for _, credentials := range []bool{false, true} {
		mw := middleware.CORS(&middleware.CORSOptions{
			AllowedOrigins: []string{
				"https://app.example", "http://localhost:3000",
				"https://*.example.org",
			},
			AllowCredentials: credentials,
		})
		for _, host := range hosts {
			for _, good := range []string{
				"https://app.example", "http://localhost:3000",
				"https://a.example.org", "https://a.b.example.org",
			} {
				actual, preflight := ask(mw, host, good)
				if actual.Get("Access-Control-Allow-Origin") != good ||
					preflight.Get("Access-Control-Allow-Origin") != good {
					t.Fatalf("%q is refused, so that the table proves nothing: %v %v", good, actual,
						preflight)
				}
				for _, pair := range [][]string{
					{good, "https://evil.test"},
					{"https://evil.test", good},
					{good, good},
					{},
				} {
					actual, preflight := ask(mw, host, pair...)
					if names := append(granted(actual), granted(preflight)...); len(names) > 0 {
						t.Errorf("Host %q, Origin headers %q: got %v", host, pair, names)
					}
				}
			}
			for _, origin := range bad {
				actual, preflight := ask(mw, host, origin)
				if names := append(granted(actual), granted(preflight)...); len(names) > 0 {
					t.Errorf("Host %q, Origin %q: got %v", host, origin, names)
				}
				if actual.Get("Vary") != "Origin" ||
					!strings.HasPrefix(preflight.Get("Vary"), "Origin") {
					t.Errorf("Host %q, Origin %q: Vary %q and %q", host, origin, actual.Get("Vary"),
						preflight.Get("Vary"))
				}
			}
		}
	}
}

// TestCORS_RandomOrigins puts origins together at random from the pieces that attacks are made of,
// and holds the answer against a regular expression that says the same as the options.
func TestCORS_RandomOrigins(t *testing.T) {
	mw := middleware.CORS(
		&middleware.CORSOptions{
			AllowedOrigins:   []string{"https://app.example", "https://*.example.org"},
			AllowCredentials: true,
		})
	good := regexp.MustCompile(`^(https://app\.example|https://([a-z0-9_-]{1,63}\.)+example\.org)$`)
	pieces := []string{
		"https", "http", "://", "://", ":", "/", "//", ".", "..", "@", "\\", "%2e", "*", "*.",
		"\x00", " ", "null", "app.example", "example.org", ".example.org",
		"a", "a.", "b-c.", "evil.test", "A", ":443", ":8443", "#", "?", "https://app.example",
		"https://a", "https://a.example.org", "\u3002",
	}
	rng := rand.New(rand.NewPCG(1, 2))
	accepted := 0
	for range 20_000 {
		var origin strings.Builder
		for range 1 + rng.IntN(4) {
			origin.WriteString(pieces[rng.IntN(len(pieces))])
		}
		actual, preflight := ask(mw, "app.example", origin.String())
		want := ""
		if good.MatchString(origin.String()) {
			want = origin.String()
			accepted++
		}
		for _, h := range []http.Header{actual, preflight} {
			if got := h.Get("Access-Control-Allow-Origin"); got != want ||
				(want == "") != (len(granted(h)) == 0) {
				t.Fatalf("Origin %q: got %v, want %q", origin.String(), h, want)
			}
		}
	}
	if accepted < 100 {
		t.Errorf("only %d were good ones, so that a refusal of everything would hardly show",
			accepted)
	}
}

func TestCORS_PreflightForWhatIsNotAllowed(t *testing.T) {
	mw := middleware.CORS(&middleware.CORSOptions{
		AllowedOrigins: []string{"https://app.example"}, AllowedMethods: []string{"GET", "PUT"},
		AllowedHeaders: []string{"X-Token"},
	})(http.NotFoundHandler())
	for _, c := range []struct {
		method, header string
		granted        bool
	}{
		{"PUT", "", true},
		{"PUT", "x-token", true},
		{"DELETE", "", false},
		{"PUT", "x-other", false},
		{"PUT", "x-other,x-token", false},
	} {
		r := httptest.NewRequest("OPTIONS", "/", nil)
		r.Header.Set("Origin", "https://app.example")
		r.Header.Set("Access-Control-Request-Method", c.method)
		if c.header != "" {
			r.Header.Set("Access-Control-Request-Headers", c.header)
		}
		w := httptest.NewRecorder()
		mw.ServeHTTP(w, r)
		if got := len(granted(w.Header())) > 0; got != c.granted {
			t.Errorf("%s with %q: %v", c.method, c.header, w.Header())
		}
	}
}

func TestCORS_ZeroOptionsAllowNobody(t *testing.T) {
	mw := middleware.CORS(&middleware.CORSOptions{})
	for _, origin := range append(badOrigins(), "https://app.example", "http://localhost") {
		actual, preflight := ask(mw, "app.example", origin)
		if names := append(granted(actual), granted(preflight)...); len(names) > 0 {
			t.Errorf("Origin %q: got %v", origin, names)
		}
	}
}

func TestCORS_AnswersAnAllowedOrigin(t *testing.T) {
	actual, preflight := ask(middleware.CORS(&middleware.CORSOptions{
		AllowedOrigins:   []string{"https://app.example"},
		AllowedMethods:   []string{"GET", "PATCH"},
		ExposedHeaders:   []string{"x-total"},
		AllowCredentials: true,
	}), "api.example", "https://app.example")
	want := map[string]string{
		"Access-Control-Allow-Origin":      "https://app.example",
		"Access-Control-Allow-Credentials": "true",
		"Access-Control-Expose-Headers":    "X-Total", "Vary": "Origin",
	}
	for name, value := range want {
		if actual.Get(name) != value {
			t.Errorf("actual: %s is %q, want %q", name, actual.Get(name), value)
		}
	}
	want = map[string]string{
		"Access-Control-Allow-Origin":      "https://app.example",
		"Access-Control-Allow-Credentials": "true",
		"Access-Control-Allow-Methods":     "GET", "Access-Control-Max-Age": "600",
		"Access-Control-Allow-Private-Network": "",
	}
	for name, value := range want {
		if preflight.Get(name) != value {
			t.Errorf("preflight: %s is %q, want %q", name, preflight.Get(name), value)
		}
	}
}

func TestCORS_EveryOriginWithoutCredentials(t *testing.T) {
	actual, preflight := ask(
		middleware.CORS(&middleware.CORSOptions{AllowedOrigins: []string{"*"}}),
		"h", "https://any.example")
	for _, h := range []http.Header{actual, preflight} {
		if h.Get("Access-Control-Allow-Origin") != "*" ||
			h.Get("Access-Control-Allow-Credentials") != "" ||
			!strings.HasPrefix(h.Get("Vary"), "Origin") {
			t.Errorf("got %v", h)
		}
	}
}

func TestCORS_PreflightCachingIsBounded(t *testing.T) {
	for age, want := range map[time.Duration]string{
		0: "600", time.Hour: "3600", 24 * time.Hour: "86400", -1: "0", time.Millisecond: "0",
		1500 * time.Millisecond: "1",
	} {
		_, preflight := ask(
			middleware.CORS(&middleware.CORSOptions{
				AllowedOrigins: []string{"https://a.example"},
				MaxAge:         age,
			}), "h", "https://a.example")
		if got := preflight.Get("Access-Control-Max-Age"); got != want {
			t.Errorf("%v: %q, want %q", age, got, want)
		}
	}
}

func TestCORS_VaryOriginWhateverTheHandlerDoes(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		want    []string
	}{
		"nothing": {func(http.ResponseWriter, *http.Request) {}, []string{"Origin"}},
		"adds": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("Vary", "Accept")
			w.WriteHeader(200)
		}, []string{"Origin", "Accept"}},
		"sets": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Vary", "Accept")
			w.WriteHeader(200)
		}, []string{"Accept", "Origin"}},
		"sets in a list": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Vary", "a, origin")
			w.WriteHeader(200)
		}, []string{"a, origin"}},
		"sets everything": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Vary", "*")
			w.WriteHeader(200)
		}, []string{"*"}},
		"deletes only": {
			func(w http.ResponseWriter, _ *http.Request) { w.Header().Del("Vary") },
			[]string{"Origin"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			middleware.CORS(&middleware.CORSOptions{})(c.handler).ServeHTTP(w,
				httptest.NewRequest("GET", "/", nil))
			if got := w.Header()["Vary"]; !slices.Equal(got, c.want) {
				t.Errorf("Vary %q, want %q", got, c.want)
			}
		})
	}
}
