package wsconn_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

func request(host string, secure bool, origins ...string) *http.Request {
	r := &http.Request{Method: http.MethodGet, Host: host, Header: http.Header{}}
	if origins != nil {
		r.Header["Origin"] = origins
	}
	if secure {
		r.TLS = &tls.ConnectionState{}
	}
	return r
}

func TestPolicy_AcceptsOwnAndListedOrigins(t *testing.T) {
	listed := &wsconn.Policy{
		Origins: []string{
			"https://other.example", "http://localhost:5173",
			"chrome-extension://abcdef",
		},
	}
	hosts := &wsconn.Policy{
		Hosts: []string{"app.example", "api.example:8443", "www.example:443", "Upper.Example"},
	}
	for name, tt := range map[string]struct {
		policy *wsconn.Policy
		r      *http.Request
	}{
		"own": {
			nil,
			request("app.example", false, "http://app.example"),
		},
		"own with a port": {
			nil,
			request("app.example:8080", false, "http://app.example:8080"),
		},
		"own, default port in Host": {
			nil,
			request("app.example:80", false, "http://app.example"),
		},
		"own, TLS": {
			nil,
			request("app.example", true, "https://app.example"),
		},
		"own, TLS, default port in Host": {
			nil,
			request("app.example:443", true, "https://app.example"),
		},
		"TLS ends at a proxy": {
			nil,
			request("app.example", false, "https://app.example"),
		},
		"TLS ends at a proxy, 443": {
			nil,
			request("app.example:443", false, "https://app.example"),
		},
		"Host in upper case": {
			nil,
			request("APP.Example", false, "http://app.example"),
		},
		"IPv4": {
			nil,
			request("127.0.0.1:8080", false, "http://127.0.0.1:8080"),
		},
		"IPv6":               {nil, request("[::1]:8080", false, "http://[::1]:8080")},
		"IPv6, default port": {nil, request("[::1]", false, "http://[::1]")},
		"punycode": {
			nil,
			request("xn--bcher-kva.example", false, "http://xn--bcher-kva.example"),
		},
		"underscore": {
			nil,
			request("my_app.local", false, "http://my_app.local"),
		},
		"no Origin": {nil, request("app.example", false)},
		"listed": {
			listed,
			request("app.example", false, "https://other.example"),
		},
		"listed with a port": {
			listed,
			request("app.example", true, "http://localhost:5173"),
		},
		"listed extension": {
			listed,
			request("app.example", true, "chrome-extension://abcdef"),
		},
		"own beside listed": {
			listed,
			request("app.example", true, "https://app.example"),
		},
		"host is named": {
			hosts,
			request("app.example", true, "https://app.example"),
		},
		"host is named, any port": {
			hosts,
			request("app.example:9", true, "https://app.example:9"),
		},
		"host is named with a port": {
			hosts,
			request("api.example:8443", true, "https://api.example:8443"),
		},
		"host is named with default port": {
			hosts,
			request("www.example", true, "https://www.example"),
		},
		"host is named in upper case": {
			hosts,
			request("upper.example", true, "https://upper.example"),
		},
	} {
		if tt.policy == nil {
			tt.policy = &wsconn.Policy{}
		}
		if err := tt.policy.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !tt.policy.Allows(tt.r) {
			t.Errorf("%s: refused", name)
		}
	}
}

// badOrigins are origins that H must never be taken for.
func badOrigins(h string) []string {
	var bad []string
	for _, scheme := range []string{"http", "https"} {
		for _, s := range []string{
			"$://H/", "$://H/x", "$://H?", "$://H?x", "$://H#", "$://H#x", "$://user@H",
			"$://user:pw@H", "$://@H", "$://H@evil.test", "$://H:@evil.test", "$://evil.test@H",
			"$://H.", "$://.H", "$://H ", " $://H", "$://H\t", "\t$://H", "$://H\n", "$://H\r\n",
			"$://H\x00", "$://H\x00.evil.test", "$://\x00H", "$:// H",
			"$://H.evil.test", "$://H-evil.test", "$://evilH", "$://evil.H", "$://evil-H",
			"$://evil.test/H", "$://evil.test?H", "$://evil.test#H", "$://evil.test\\H", "$://H\\",
			"$://H%00", "$://H%2eevil.test", "$://H%20",
			"$://H:", "$://H:0", "$://H:1", "$://H:80:80", "$://H:65536", "$://H:99999999999",
			"$://H:+8080", "$://H:08080", "$://H:-1", "$://H:8080x", "$://H: 8080", "$://H:٨",
			"$:/H", "$:H", "$//H", "$:///H", "$:////H", "$:\\\\H", "$://", "$", "$:", "$://$://H",
			"$://H,$://H", "$://H $://evil.test", "$://H, $://evil.test", "$://H;$://evil.test",
			"$://*", "$://*.H",
			"$://[H]", "$://[::1", "$://::1", "$://[::1]x", "$://]", "$://[", "$://[]", "$://[]:80",
			"$://[::1%25lo]", "$://[::ffff:127.0.0.1]", "$://127.1", "$://2130706433", "$://0x7f.1",
			"view-source:$://H", "blob:$://H", "filesystem:$://H", "x$://H", "$x://H", "$z://H",
			"w$://H",
			// wide, accented, ideographic dot, soft hyphen, Cyrillic
			"$://ＡPP.example", "$://àpp.example", "$://app。example", "$://app.exam\u00adple",
			"$://аpp.example",
		} {
			bad = append(bad, strings.ReplaceAll(strings.ReplaceAll(s, "$", scheme), "H", h))
		}
		bad = append(bad, strings.ToUpper(scheme)+"://"+h, scheme+"://"+strings.ToUpper(h),
			scheme+"://"+strings.ToUpper(h[:1])+h[1:])
	}
	return append(bad, "", " ", "null", "NULL", "Null", "*", h, "//"+h, "/"+h, "ftp://"+h,
		"ws://"+h, "wss://"+h, "file://"+h, "file://", "javascript:", "javascript://"+h,
		"javascript:alert(1)//"+h,
		"data:text/html,x", "about:blank", "chrome-extension://"+h, "://"+h, "http", "https:",
		"http://h", "http://evil.test", "https://evil.test", "undefined", "true", "http:/"+h)
}

func TestPolicy_RefusesEveryOtherOrigin(t *testing.T) {
	n := 0
	refuse := func(p *wsconn.Policy, r *http.Request) {
		t.Helper()
		n++
		if p.Allows(r) {
			t.Errorf("policy %+v: Host %q, Origin %q, TLS %v accepted", p, r.Host,
				r.Header["Origin"], r.TLS != nil)
		}
	}
	policies := []*wsconn.Policy{
		{},
		{Origins: []string{"https://other.example"}, Required: true},
		{Hosts: []string{"app.example"}},
		{Origins: []string{"null", "*", "https://*.example"}}, // none of which Validate lets pass
	}
	for _, p := range policies {
		for _, secure := range []bool{false, true} {
			for _, host := range []string{"app.example", "app.example:8080"} {
				for _, o := range badOrigins("app.example") {
					if o == "*" && slices.Contains(p.Origins, o) {
						// byte for byte what was listed, and no browser sends it
						continue
					}
					refuse(p, request(host, secure, o))
				}
			}
			for _, pair := range [][2]string{ // Host, Origin
				{"app.example:8080", "http://app.example"},
				{"app.example", "http://app.example:8080"},
				{"app.example:8080", "http://app.example:8081"},
				{"app.example", "http://app.example:80"},
				{"app.example:80", "http://app.example:80"},
				{"app.example", "https://app.example:443"},
				{"app.example:443", "https://app.example:443"},
				{"app.example:443", "http://app.example"},
				{"app.example:80", "https://app.example"},
				{"app.example.", "http://app.example"},
				{"app.example", "http://app.example."},
				{"user@app.example", "http://app.example"},
				{"app.example/", "http://app.example"},
				{"app.example, evil.test", "http://app.example"},
				{"app.example ", "http://app.example"},
				{"", "http://"},
				{"", "http://app.example"},
				{":80", "http://"},
				{":80", "http://:80"},
				{"\u212aapp.example", "http://kapp.example"},
				{"app.example:x", "http://app.example"},
				{"[::1]", "http://[::2]"},
				{"[::1]", "http://::1"},
				{"::1", "http://::1"},
				{"[::1]:80", "http://[::1]:80"},
				{"[0:0:0:0:0:0:0:1]", "http://[::1]"},
				{"localhost", "http://127.0.0.1"},
				{"127.0.0.1", "http://localhost"},
			} {
				refuse(p, request(pair[0], secure, pair[1]))
			}
			refuse(p, request("app.example", secure, "https://app.example", "https://app.example"))
			refuse(p, request("app.example", secure, "https://app.example", "https://evil.test"))
			refuse(p, request("app.example", secure, "https://evil.test", "https://app.example"))
			refuse(p, request("app.example", secure, "", "https://app.example"))
		}
		// TLS would have been stripped on the way
		refuse(p, request("app.example", true, "http://app.example"))
		refuse(p, request("app.example:443", true, "http://app.example:443"))
	}
	for _, host := range []string{
		"evil.test", "app.example.evil.test", "127.0.0.1", "api.example",
		"api.example:8444",
	} {
		// DNS rebinding
		p := &wsconn.Policy{Hosts: []string{"app.example", "api.example:8443"}}
		refuse(p, request(host, false, "http://"+host))
		refuse(p, request(host, true, "https://"+host))
	}
	refuse(&wsconn.Policy{Required: true}, request("app.example", true))
	if n < 200 {
		t.Errorf("only %d combinations", n)
	}
	t.Log(n, "combinations")
}

func TestPolicy_ValidateNamesTheBadEntry(t *testing.T) {
	for _, o := range append(badOrigins("app.example"), "https://app.example:443",
		"http://app.example:80", "https://*.example") {
		if strings.HasSuffix(o, "://app.example") && o == strings.ToLower(o) &&
			!strings.ContainsAny(o[:len(o)-len("://app.example")], ": ,/\t") &&
			o != "://app.example" {
			continue // of some scheme, but well formed
		}
		err := (&wsconn.Policy{Origins: []string{"https://good.example", o}}).Validate()
		wellFormed := wellFormedOrigin(o)
		if wellFormed != (err == nil) || err != nil &&
			!strings.Contains(err.Error(), strconv.Quote(o)) {
			t.Errorf("origin %q: %v", o, err)
		}
	}
	for _, h := range []string{
		"", "https://app.example", "app.example/", "a b", ":80", "[::1",
		"app.example:0", "*.example",
	} {
		if err := (&wsconn.Policy{Hosts: []string{h}}).Validate(); err == nil {
			t.Errorf("host %q passes", h)
		}
	}
}

// wellFormedOrigin is an oracle made of net/url: an origin is what it parses into and nothing else.
func wellFormedOrigin(o string) bool {
	u, err := url.Parse(o)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Opaque != "" || u.Hostname() == "" {
		return false
	}
	if u.Scheme+"://"+u.Host != o || strings.ToLower(o) != o || strings.Contains(u.Host, "%") {
		return false
	}
	for _, c := range u.Hostname() {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789.-_:", c) {
			return false
		}
	}
	if strings.Contains(u.Hostname(), ":") != strings.HasPrefix(u.Host, "[") ||
		strings.HasSuffix(u.Host, ":") {
		return false
	}
	if strings.HasPrefix(u.Host, "[") && strings.Trim(u.Hostname(), "abcdef0123456789:.") != "" {
		return false
	}
	if p := u.Port(); p != "" {
		n, err := strconv.Atoi(p)
		if err != nil || n < 1 || n > 65535 || strconv.Itoa(n) != p {
			return false
		}
		return p != map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return true
}

func FuzzPolicy_OwnOrigin(f *testing.F) {
	for _, o := range badOrigins("app.example") {
		f.Add("app.example", o, false)
	}
	f.Add("app.example:80", "http://app.example", false)
	f.Add("[::1]:8080", "https://[::1]:8080", true)
	f.Fuzz(func(t *testing.T, host, origin string, secure bool) {
		want := false
		if u, err := url.Parse(origin); err == nil && wellFormedOrigin(origin) &&
			(u.Scheme == "https" || u.Scheme == "http" && !secure) {
			def := map[string]string{"http": "80", "https": "443"}[u.Scheme]
			for _, h := range []string{u.Host, net.JoinHostPort(u.Hostname(), def)} {
				want = want || asciiLower(host) == h && (h == u.Host || u.Port() == "")
			}
		}
		if got := (&wsconn.Policy{}).Allows(request(host, secure, origin)); got != want {
			t.Errorf("Host %q, Origin %q, TLS %v: %v, want %v", host, origin, secure, got, want)
		}
	})
}

func asciiLower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// Whoever configures the server, or its proxy, has to find out from the log what to change.
func TestCheck_SaysWhichOriginItRefusesAndWhatToDo(t *testing.T) {
	for name, tt := range map[string]struct {
		origins     []string
		detail, log string
	}{
		"another": {
			[]string{"https://app.example"},
			`"https://app.example" may not connect: the request is for the host "127.0.0.1:8080"`,
			"AllowedOrigins",
		},
		"behind": {[]string{"https://app.example"}, "", "Host"},
		"none":   {nil, "without an Origin", "RequireOrigin"},
		"two": {
			[]string{"https://a.example", "https://b.example"},
			"more than one",
			"more than one",
		},
		"crafted":   {[]string{"https://a.example\"\n\u202e"}, `\n\u202e`, `\n\u202e`},
		"very long": {[]string{"https://" + strings.Repeat("a", 10000)}, "aaa", "AllowedOrigins"},
	} {
		t.Run(name, func(t *testing.T) {
			r := handshake()
			r.Host = "127.0.0.1:8080"
			delete(r.Header, "Origin")
			if tt.origins != nil {
				r.Header["Origin"] = tt.origins
			}
			server, client := net.Pipe()
			defer func() { _ = server.Close(); _ = client.Close() }()
			refusal := wsconn.Check(hijacked{httptest.NewRecorder(), server}, r,
				&wsconn.Policy{Required: true})
			if refusal == nil || refusal.Status != http.StatusForbidden || refusal.Err == nil {
				t.Fatal(refusal)
			}
			if !strings.Contains(refusal.Detail, tt.detail) ||
				!strings.Contains(refusal.Err.Error(), tt.log) || len(refusal.Detail) > 1000 {
				t.Errorf("%s / %v", refusal.Detail, refusal.Err)
			}
		})
	}
}

func TestUpgrade_NamesTheSubprotocolAsTheServerDoes(t *testing.T) {
	server, client := net.Pipe()
	defer func() { _ = client.Close() }()
	w, r := hijacked{httptest.NewRecorder(), server}, handshake()
	r.Header.Set("Sec-WebSocket-Protocol", "other, CHESS.V1")
	c, err := wsconn.Upgrade(w, r, &wsconn.Options{Subprotocols: []string{"chess.v2", "chess.v1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.CloseNow() }()
	if got := c.Subprotocol(); got != "chess.v1" {
		t.Errorf("Subprotocol %q", got)
	}
	if got := w.Header().Get("Sec-WebSocket-Protocol"); got != "CHESS.V1" {
		// a browser takes nothing else than it offered
		t.Errorf("answered %q", got)
	}
}
