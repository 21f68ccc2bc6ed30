package asgi

import (
	"context"
	"maps"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/internal/httpheader"
	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
)

// Request is one HTTP request as a handler sees it. It is valid until the handler returns, and for
// one goroutine.
type Request struct {
	http   *http.Request
	writer http.ResponseWriter
	limits *Limits // nil means those of the context

	state    atomic.Pointer[State] // contexts are used by many goroutines
	query    QueryParams
	queried  bool    // query is decoded
	bodyRead bool    // somebody has claimed the body
	isAhead  bool    // http.Body is an aheadBody of ours
	form     *Form   // nil until it is read
	headers  Headers // nil until they are asked for with the host
	after    afterResponse
}

// requestContext is the context of a request, from which RequestFrom finds the request. It is the
// Request itself under another name: a context.WithValue would be one allocation and 48 bytes more
// for each request, some 20 % of the time of a small GET (BenchmarkRequestContext,
// BenchmarkGetParams).
type requestContext Request

type requestKey struct{}

func (c *requestContext) Deadline() (time.Time, bool) { return c.http.Context().Deadline() }
func (c *requestContext) Done() <-chan struct{}       { return c.http.Context().Done() }
func (c *requestContext) Err() error                  { return c.http.Context().Err() }

func (c *requestContext) Value(key any) any {
	switch key.(type) {
	case requestKey:
		return (*Request)(c)
	case stateKey:
		return (*Request)(c).State()
	}
	return c.http.Context().Value(key)
}

// close ends what belongs to the request, however its handler ended.
func (r *Request) close() {
	if r.form != nil {
		r.form.removeFiles()
	}
	if ahead, ok := r.http.Body.(*aheadBody); ok && r.isAhead {
		r.http.Body = ahead.ReadCloser
	}
	r.after.drop()
}

// RequestFrom is the HTTP request that a typed handler serves, found by its context. It is false
// where the handler serves something else, such as a WSX call, and in background work, which
// outlives the request.
func RequestFrom(ctx context.Context) (*Request, bool) {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r, r != nil
}

// Context is the request's context: cancelled when the client goes away and when the handler has
// returned. RequestFrom, StateFrom and After work on it. Over HTTP/1 net/http notices that the
// client has gone once the body was read: one of up to 64 KiB of announced length is taken in
// before the handler is called, and by a stream or a typed function without a body one in chunks
// too. A longer body that the handler leaves unread keeps the context from ending.
func (r *Request) Context() context.Context { return (*requestContext)(r) }

// HTTP is the request beneath. Its Body has no limit but those set elsewhere; Request.Body has.
func (r *Request) HTTP() *http.Request { return r.http }

// Method is the HTTP method, such as "GET".
func (r *Request) Method() string { return r.http.Method }

// URL is the URL as the client wrote it, made anew at each call. Scheme and host are those of the
// connection and the Host header unless ContextWithForwarded says otherwise; the host is the
// client's claim and not to be trusted in links.
func (r *Request) URL() *URL { return clientURL(r.http) }

// Client is the address the request came from: that of the connection unless ContextWithForwarded
// or a middleware that sets RemoteAddr says otherwise.
func (r *Request) Client() Address { return clientAddress(r.http) }

// Headers are the request's headers, with Host among them, which net/http keeps apart. They are not
// to be changed.
func (r *Request) Headers() Headers {
	h := r.http.Header
	if r.http.Host == "" || h[hostHeader] != nil {
		return Headers(h)
	}
	if r.headers == nil {
		with := make(http.Header, len(h)+1)
		maps.Copy(with, h)
		with[hostHeader] = r.header(hostHeader)
		r.headers = Headers(with)
	}
	return r.headers
}

const hostHeader = "Host"

// header are the values of a header, by its canonical name.
func (r *Request) header(name string) []string {
	if name == hostHeader && r.http.Host != "" {
		return []string{r.http.Host}
	}
	return r.http.Header[name]
}

// Cookie is the value of the first cookie of that name, and whether there is one.
func (r *Request) Cookie(name string) (string, bool) {
	cookie, err := r.http.Cookie(name)
	if err != nil {
		return "", false
	}
	return cookie.Value, true
}

// Query is the URL's query, decoded once.
func (r *Request) Query() QueryParams {
	if !r.queried {
		r.query, r.queried = ParseQuery(r.http.URL.RawQuery), true
	}
	return r.query
}

// PathValue is a value from the route's pattern, empty if the pattern has none of that name. It
// comes from net/http's PathValue, which http.ServeMux and chi fill; chi leaves it percent-encoded
// where the path has encoded slashes and the like.
func (r *Request) PathValue(name string) string { return r.http.PathValue(name) }

// PathInt is a decimal integer from the route's pattern; the error is an *HTTPError (422) for the
// client.
func (r *Request) PathInt(name string) (int, error) {
	n, detail := typed.ParseInt(r.http.PathValue(name), 0)
	if detail != "" {
		return 0,
			problem.Invalid(FieldError{In: "path", Pointer: typed.Pointer(name), Detail: detail})
	}
	return int(n), nil
}

// State is the request's state: that of ContextWithState if a middleware set one, or else one of
// its own.
func (r *Request) State() *State {
	if s := r.state.Load(); s != nil {
		return s
	}
	s := StateFrom(r.http.Context())
	if s == nil {
		s = new(State)
	}
	if !r.state.CompareAndSwap(nil, s) {
		s = r.state.Load()
	}
	return s
}

// ResponseHeader are the headers of the answer. They can be changed until the handler returns;
// those of the response it returns come on top.
func (r *Request) ResponseHeader() http.Header { return r.writer.Header() }

// SetCookie adds a cookie to the answer. The error says what is wrong with the cookie.
func (r *Request) SetCookie(c Cookie) error { return SetCookie(r.writer, c) }

// SetLimits sets the limits of this request, instead of those of its context. It is for a handler
// that has not yet begun to read the body. Nil means the defaults.
func (r *Request) SetLimits(l *Limits) {
	if l == nil {
		l = &Limits{}
	}
	r.limits = l
}

func (r *Request) limit() Limits {
	if r.limits != nil {
		return r.limits.withDefaults()
	}
	return limitsOf(r.http.Context())
}

// Headers are the headers of a request. It is an http.Header: names are in canonical form, and a
// conversion gives all the methods of one. It is safe for concurrent reading.
type Headers http.Header

// Get is the first value of a header, empty if there is none. The name is case-insensitive.
func (h Headers) Get(name string) string { return http.Header(h).Get(name) }

// Values are all values of a header in the order they came, nil if there is none. They are not
// copied.
func (h Headers) Values(name string) []string { return http.Header(h).Values(name) }

// Has reports whether the header was sent, be it empty.
func (h Headers) Has(name string) bool { return len(h.Values(name)) > 0 }

// List is a header that is a comma-separated list (RFC 9110 section 5.6.1), over all its lines.
// Space around the members is cut, empty members are left out, and a comma within a quoted string
// separates nothing. Members are not unquoted.
func (h Headers) List(name string) []string { return httpheader.List(h.Values(name)) }
