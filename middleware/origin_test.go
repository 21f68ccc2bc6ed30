package middleware_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/middleware"
)

// FuzzParseOrigin: whatever is accepted is an absolute URL of scheme and host alone to net/url,
// which writes it back the same.
func FuzzParseOrigin(f *testing.F) {
	for _, seed := range append(badOrigins(), "https://a.example", "http://localhost:3000",
		"https://[::1]:8443", "http://127.0.0.1") {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, reason := middleware.ParseOrigin(s)
		if reason != "" {
			return
		}
		u, err := url.Parse(s)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if u.String() != s || u.User != nil || u.Path != "" || u.RawQuery != "" || u.ForceQuery ||
			u.Fragment != "" || u.Opaque != "" {
			t.Fatalf("%q is more than an origin: %#v", s, u)
		}
		if strings.Trim(host, "[]") != u.Hostname() || strings.ToLower(s) != s {
			t.Fatalf("%q: host %q, net/url has %q", s, host, u.Hostname())
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil && addr.String() != u.Hostname() {
			t.Fatalf("%q: not the canonical address %v", s, addr)
		}
		if p := u.Port(); u.Scheme == "https" && p == "443" || u.Scheme == "http" && p == "80" {
			t.Fatalf("%q: default port", s)
		}
	})
}
