package asgitest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
)

// BaseURL is what a path alone is relative to.
const BaseURL = "http://app.test"

const maxBody = 64 << 20

// Client talks to one app in memory. Make it with New.
type Client struct {
	// HTTP reaches the app. It follows no redirects and keeps cookies; change it before the first
	// request if that is not wanted.
	HTTP *http.Client

	tb    testing.TB
	ctx   context.Context
	stop  context.CancelFunc
	done  chan struct{} // closed when Serve has returned
	err   error         // of Serve, valid then
	close sync.Once
}

// New starts h and returns its client. Close runs at the end of the test, where an error of it
// fails the test.
func New(tb testing.TB, h http.Handler) *Client {
	tb.Helper()
	app, ok := h.(*asgi.App)
	if !ok {
		app = asgi.New(h)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		tb.Fatalf("asgitest: %v", err)
	}
	l := newPipeListener()
	transport := &http.Transport{DialContext: l.dial, DisableCompression: true}
	ctx, stop := context.WithCancel(context.WithoutCancel(tb.Context()))
	c := &Client{
		HTTP: &http.Client{
			Transport: transport,
			Jar:       jar,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		},
		tb: tb, ctx: tb.Context(), stop: stop, done: make(chan struct{}),
	}
	go func() {
		defer close(c.done)
		c.err = app.Serve(ctx, l)
	}()
	select {
	case <-l.accepting:
	case <-c.done:
		stop()
		tb.Fatalf("asgitest: %v", c.err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("asgitest: %v", err)
		}
		transport.CloseIdleConnections()
	})
	return c
}

// Close shuts the app down, as the end of the context of asgi.App.Serve does, and returns what
// Serve returned. It is idempotent.
func (c *Client) Close() error {
	c.close.Do(c.stop)
	<-c.done
	return c.err
}

// Get sends a GET.
func (c *Client) Get(path string) *Response {
	c.tb.Helper()
	return c.Send(http.MethodGet, path, nil, nil)
}

// Post sends a POST; see Send for body.
func (c *Client) Post(path string, body any) *Response {
	c.tb.Helper()
	return c.Send(http.MethodPost, path, body, nil)
}

// Send sends a request and reads its answer whole. A body that is an io.Reader, []byte or string is
// sent as it is, nil is none, and anything else is sent as JSON. header may be nil and wins over
// the Content-Type of JSON. The request ends with the test.
func (c *Client) Send(method, path string, body any, header http.Header) *Response {
	c.tb.Helper()
	return c.Do(c.Request(method, path, body, header))
}

// Request makes a request as Send does, to be changed and given to Do.
func (c *Client) Request(method, path string, body any, header http.Header) *http.Request {
	c.tb.Helper()
	var content io.Reader
	isJSON := false
	switch b := body.(type) {
	case nil:
	case io.Reader:
		content = b
	case []byte:
		content = bytes.NewReader(b)
	case string:
		content = strings.NewReader(b)
	default:
		text, err := typed.Marshal(body)
		if err != nil {
			c.tb.Fatalf("asgitest: %s %s: %v", method, path, err)
		}
		content, isJSON = bytes.NewReader(text), true
	}
	r, err := http.NewRequestWithContext(c.ctx, method, c.url(path), content)
	if err != nil {
		c.tb.Fatalf("asgitest: %v", err)
	}
	if isJSON {
		r.Header.Set("Content-Type", "application/json")
	}
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	return r
}

// url makes a path an absolute URL; a full URL stays.
func (c *Client) url(path string) string {
	if u, err := url.Parse(path); err == nil && u.IsAbs() {
		return path
	}
	return BaseURL + path
}

// Do sends r and reads its answer whole.
func (c *Client) Do(r *http.Request) *Response {
	c.tb.Helper()
	raw, err := c.HTTP.Do(r)
	if err != nil {
		c.tb.Fatalf("asgitest: %v", err)
	}
	defer raw.Body.Close()
	body, err := io.ReadAll(http.MaxBytesReader(nil, raw.Body, maxBody))
	if err != nil {
		c.tb.Fatalf("asgitest: %s %s: %d, its body: %v", r.Method, r.URL.Path, raw.StatusCode, err)
	}
	return &Response{Status: raw.StatusCode, Header: raw.Header, Body: body, Raw: raw, tb: c.tb}
}

// Response is an answer, read whole.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
	Raw    *http.Response // for cookies, trailers and the like; its body is read and closed

	tb testing.TB
}

// Want ends the test unless the status is this.
func (r *Response) Want(status int) *Response {
	r.tb.Helper()
	if r.Status != status {
		r.tb.Fatalf("asgitest: %s %s: status %d, want %d: %.500s", r.Raw.Request.Method,
			r.Raw.Request.URL.Path, r.Status, status, r.Body)
	}
	return r
}

// JSON decodes the body into out, a pointer. Unknown members end the test, as anything that is not
// JSON does.
func (r *Response) JSON(out any) *Response {
	r.tb.Helper()
	if err := typed.Unmarshal(r.Body, out, json.RejectUnknownMembers(true)); err != nil {
		r.tb.Fatalf("asgitest: %s %s: %v: %.500s", r.Raw.Request.Method, r.Raw.Request.URL.Path,
			err, r.Body)
	}
	return r
}

// Problem is an RFC 9457 problem as a client sees it.
type Problem struct {
	Type       string         `json:"type"`
	Title      string         `json:"title"`
	Status     int            `json:"status"`
	Detail     string         `json:"detail"`
	Instance   string         `json:"instance"`
	Extensions map[string]any `json:",embed"`
}

// Problem decodes the body as a problem. Another media type, or a status in it that is not the
// answer's, ends the test.
func (r *Response) Problem() *Problem {
	r.tb.Helper()
	if got := r.Header.Get("Content-Type"); got != problem.ContentType {
		r.tb.Fatalf("asgitest: %s %s: %d is %q and no problem: %.500s", r.Raw.Request.Method,
			r.Raw.Request.URL.Path, r.Status, got, r.Body)
	}
	p := new(Problem)
	r.JSON(p)
	if p.Status != r.Status {
		r.tb.Fatalf("asgitest: a problem of status %d was sent with %d", p.Status, r.Status)
	}
	return p
}
