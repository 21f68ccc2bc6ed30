package asgi

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
)

// URL is an absolute URL as the client wrote it: with scheme and host, and with the path before any
// router or http.StripPrefix cut it. All of url.URL works on it.
type URL struct{ url.URL }

// Query is the query, decoded; see QueryParams for one that is malformed.
func (u *URL) Query() QueryParams { return ParseQuery(u.RawQuery) }

// Origin is scheme and host as RFC 6454 section 6.2 writes them, for example
// "https://app.example:8443".
func (u *URL) Origin() string { return u.Scheme + "://" + u.Host }

// Secure reports whether the client came over TLS.
func (u *URL) Secure() bool { return u.Scheme == "https" }

// Forwarded is what a proxy in front of the server knows about the client. An empty field means: as
// received.
type Forwarded struct {
	Scheme string  // "http" or "https"
	Host   string  // the host, with the port unless it is the scheme's own
	Client Address // the client's address
}

type forwardedKey struct{}

// ContextWithForwarded makes Request.URL and Request.Client tell f instead of what the connection
// shows. By itself this package trusts no header such as X-Forwarded-For: any client can send them.
// A middleware that knows its proxy calls this; see the package's section on clients behind
// proxies.
func ContextWithForwarded(ctx context.Context, f Forwarded) context.Context {
	return context.WithValue(ctx, forwardedKey{}, f)
}

func forwarded(ctx context.Context) Forwarded {
	f, _ := ctx.Value(forwardedKey{}).(Forwarded)
	return f
}

func clientURL(r *http.Request) *URL {
	u := &URL{*r.URL}
	// RequestURI is what the request line had. It is empty in requests that no server read.
	if asked, err := url.ParseRequestURI(r.RequestURI); err == nil {
		u.URL = *asked
	}
	f := forwarded(r.Context())
	u.Scheme, u.Host, u.User = "http", r.Host, nil
	if r.TLS != nil {
		u.Scheme = "https"
	}
	if f.Scheme != "" {
		u.Scheme = f.Scheme
	}
	if f.Host != "" {
		u.Host = f.Host
	}
	return u
}

func clientAddress(r *http.Request) Address {
	if f := forwarded(r.Context()); f.Client != (Address{}) {
		return f.Client
	}
	return ParseAddress(r.RemoteAddr)
}

// Address is a network peer. The zero value is an unknown one.
type Address struct {
	// an IP address without brackets, or what the network names its peers by; empty if unknown
	Host string
	Port int // 0 if unknown, or if the network has none
}

// ParseAddress reads "host:port", "[ip6]:port", a bare IP address as chi's RealIP leaves it, or any
// other name, which becomes the host. It never fails.
func ParseAddress(s string) Address {
	if host, text, err := net.SplitHostPort(s); err == nil {
		if port, err := strconv.ParseUint(text, 10, 16); err == nil {
			return Address{Host: host, Port: int(port)}
		}
	}
	if len(s) > 1 && s[0] == '[' && s[len(s)-1] == ']' {
		s = s[1 : len(s)-1]
	}
	return Address{Host: s}
}

// IP is the host as an IP address, IPv4 in its own form; false if it is none.
func (a Address) IP() (netip.Addr, bool) {
	ip, err := netip.ParseAddr(a.Host)
	return ip.Unmap(), err == nil
}

// String is host:port, or the host alone where the port is unknown.
func (a Address) String() string {
	if a.Port == 0 {
		return a.Host
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}
