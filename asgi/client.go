package asgi

import (
	"context"
	"net/http"
	"net/url"
)

// URL is an absolute URL as the client wrote it: with scheme and host, and with the path before any router or
// http.StripPrefix cut it. All of url.URL works on it.
type URL struct{ url.URL }

// Query is the query, decoded; see QueryParams for one that is malformed.
func (u *URL) Query() QueryParams { return ParseQuery(u.RawQuery) }

// Origin is scheme and host as RFC 6454 section 6.2 writes them, for example "https://app.example:8443".
func (u *URL) Origin() string { return u.Scheme + "://" + u.Host }

// Secure reports whether the client came over TLS.
func (u *URL) Secure() bool { return u.Scheme == "https" }

// Forwarded is what a proxy in front of the server knows about the client. An empty field means: as received.
type Forwarded struct {
	Scheme string  // "http" or "https"
	Host   string  // the host, with the port unless it is the scheme's own
	Client Address // the client's address
}

type forwardedKey struct{}

// ContextWithForwarded makes Request.URL and Request.Client tell f instead of what the connection shows. By itself
// this package trusts no header such as X-Forwarded-For: any client can send them. A middleware that knows its proxy calls
// this; see the package's section on clients behind proxies.
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
