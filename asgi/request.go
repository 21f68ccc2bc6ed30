package asgi

import (
	"context"
	"mime/multipart"
	"net/http"
	"sync/atomic"
	"time"
)

// Request is one HTTP request as a handler sees it. It is valid until the handler returns, and for one goroutine.
type Request struct {
	http   *http.Request
	writer http.ResponseWriter
	limits *Limits // nil means those of the context

	state    atomic.Pointer[State] // contexts are used by many goroutines
	query    QueryParams
	queried  bool // query is decoded
	bodyRead bool
	form     *Form
	temp     *multipart.Form // holds the temporary files
	after    afterResponse
}

// requestContext is the context of a request, from which RequestFrom finds the request. It is the Request itself under another
// name, which saves an allocation per request.
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
	if r.temp != nil {
		_ = r.temp.RemoveAll() // files that cannot be removed are the operating system's to clean
	}
	r.after.drop()
}

// RequestFrom is the HTTP request that a typed handler serves, found by its context. It is false where the handler
// serves something else, such as a WSX call, and in background work, which outlives the request.
func RequestFrom(ctx context.Context) (*Request, bool) {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r, r != nil
}

// Context is the request's context: cancelled when the client goes away and when the handler has returned. RequestFrom,
// StateFrom and After work on it.
func (r *Request) Context() context.Context { return (*requestContext)(r) }

// HTTP is the request beneath. Its Body has no limit but those set elsewhere; Request.Body has.
func (r *Request) HTTP() *http.Request { return r.http }

// Method is the HTTP method, such as "GET".
func (r *Request) Method() string { return r.http.Method }

// URL is the URL as the client wrote it, made anew at each call. Scheme and host are those of the connection and the
// Host header unless ContextWithForwarded says otherwise; the host is the client's claim and not to be trusted in
// links.
func (r *Request) URL() *URL { return clientURL(r.http) }

// Client is the address the request came from: that of the connection unless ContextWithForwarded or a
// middleware that sets RemoteAddr says otherwise.
func (r *Request) Client() Address { return clientAddress(r.http) }

// Headers are the request's headers.
func (r *Request) Headers() Headers { return Headers(r.http.Header) }

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

// PathValue is a value from the route's pattern, empty if the pattern has none of that name. It comes from net/http's
// PathValue, which http.ServeMux and chi fill; chi leaves it percent-encoded where the path has encoded slashes and the
// like.
func (r *Request) PathValue(name string) string { return r.http.PathValue(name) }

// PathInt is a decimal integer from the route's pattern; the error is an *HTTPError (422) for the client.
func (r *Request) PathInt(name string) (int, error) {
	n, detail := parseInt(r.http.PathValue(name), 0)
	if detail != "" {
		return 0, FieldError{In: "path", Pointer: pointer(name), Detail: detail}.problem(nil)
	}
	return int(n), nil
}

// State is the request's state: that of ContextWithState if a middleware set one, or else one of its own.
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

// ResponseHeader are the headers of the answer. They can be changed until the handler returns; those of the response
// it returns come on top.
func (r *Request) ResponseHeader() http.Header { return r.writer.Header() }

// SetCookie adds a cookie to the answer. The error says what is wrong with the cookie.
func (r *Request) SetCookie(c Cookie) error { return SetCookie(r.writer, c) }

// SetLimits sets the limits of this request, instead of those of its context. It is for a handler that has not yet
// begun to read the body. Nil means the defaults.
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
