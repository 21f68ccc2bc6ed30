package wsx

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx/internal/buffer"
	"github.com/genropy/genro-asgi-go/wsx/internal/codes"
	"github.com/genropy/genro-asgi-go/wsx/internal/tunnel"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// maxHTTPBody is how many bytes one answer of the tunnel may hold by default.
const maxHTTPBody = 1 << 20

// serveTunnel serves one message of the HTTP tunnel: as any request, but that its method is the
// handler of ServerOptions.
func (r *reader) serveTunnel(m *wire.Message, in *buffer.Buffer) (kept, reading bool) {
	var t wire.TunnelRequest
	if fault := t.Parse(m.Raw, r.conn.server.opts.MaxDepth); fault != wire.OK {
		r.conn.refuseTunnel(&t, NewError(fault.Code(), fault.Text()))
		if t.ID == nil {
			r.countProtocolError()
		}
		return false, true
	}
	r.protocolErrors = 0
	m.Type, m.ID, m.Params = wire.Request, t.ID, m.Raw
	return r.startCall(r.conn.server.http, m, in, nil)
}

// serveHTTP is the method behind the tunnel. Its result is what follows the id in the answer.
func (s *Server) serveHTTP(ctx context.Context, r *Request) (err error) {
	k := ctx.(*call) // a builtin has no middleware to wrap it
	var t wire.TunnelRequest
	t.Parse(r.Params, s.opts.MaxDepth) // which serveTunnel has found good
	req, err := k.conn.tunnelled(ctx, &t)
	if err != nil {
		return err
	}
	w := tunnel.NewWriter(tunnelCall{k}, req.Method == http.MethodHead, s.opts.MaxHTTPBody)
	defer w.Close()
	defer func() {
		if v := recover(); v != nil {
			err = caught(v)
		}
		if err != nil {
			err = &tunnelError{err, req, w.Header()}
		}
	}()
	s.opts.HTTP.ServeHTTP(w, req)
	r.result.b, err = w.Finish(r.result.b)
	return err
}

// tunnelled is the request that a message of the tunnel asks for.
func (c *Conn) tunnelled(ctx context.Context, t *wire.TunnelRequest) (*http.Request, error) {
	r, err := tunnel.Request(ctx, c.request, &c.server.headers, t)
	if err != nil {
		return nil, NewError(CodeInvalidRequest, err.Error())
	}
	return r, nil
}

// tunnelCall is a call as its [tunnel.Writer] sees it.
type tunnelCall struct{ *call }

// ID implements tunnel.Call.
func (c tunnelCall) ID() []byte { return c.id }

// Reserve implements tunnel.Call. A small answer needs no room.
func (c tunnelCall) Reserve(ctx context.Context, n int) error {
	if n <= smallAnswer {
		return nil
	}
	return c.reserve(ctx, n)
}

// Send implements tunnel.Call.
func (c tunnelCall) Send(ctx context.Context, message []byte) error {
	defer c.releaseAnswer()
	return c.producer.Send(c, func(uint64) error {
		return c.conn.ws.Send(ctx, websocket.MessageText, message)
	})
}

// tunnelError is why a handler behind the tunnel did not answer, with its request and the header
// that it has set, for the request's id.
type tunnelError struct {
	error
	request *http.Request
	header  http.Header
}

func (e *tunnelError) Unwrap() error { return e.error }

// refuseTunnel answers a message of the tunnel that is no call.
func (c *Conn) refuseTunnel(t *wire.TunnelRequest, e *Error) {
	out := buffer.Get()
	defer out.Release()
	out.B, _ = c.appendTunnelError(out.B, t.ID, c.refusedRequest(c.Context(), t), nil, e)
	c.tell(out.B)
}

// refusedRequest is the request of a message as far as it can be read, without its body: at worst
// that of the upgrade, with the message's headers if those can be read.
func (c *Conn) refusedRequest(ctx context.Context, t *wire.TunnelRequest) *http.Request {
	asked := *t
	asked.Data = nil
	if r, err := c.tunnelled(ctx, &asked); err == nil {
		return r
	}
	header, err := c.server.headers.Read(t.Headers)
	if err != nil {
		header = make(http.Header)
	}
	r := c.request.WithContext(ctx)
	r.Header = header
	return r
}

// failedRequest is the tunnelled request that ended with err, and the header of its answer.
func (c *call) failedRequest(err error) (*http.Request, http.Header) {
	if failed, ok := errors.AsType[*tunnelError](err); ok {
		return failed.request, failed.header
	}
	var t wire.TunnelRequest
	t.Parse(c.req.Params, c.conn.server.opts.MaxDepth)
	return c.conn.refusedRequest(c, &t), nil
}

// appendTunnelError appends an answer that is a problem (RFC 9457): what problem.Write would say of
// e in answer to r. It returns the request id that is in it, empty where there is none.
func (c *Conn) appendTunnelError(dst, id []byte, r *http.Request, header http.Header,
	e *Error,
) (_ []byte, requestID string) {
	p := c.tunnelProblem(r, header, e)
	status := p.StatusCode()
	if status == codes.StatusClientClosed && p.Title == "" {
		named := *p
		named.Title = "Client Closed Request"
		p = &named
	}
	h := make(http.Header, len(p.Header)+2)
	for name, values := range p.Header {
		h[http.CanonicalHeaderKey(name)] = values
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After",
			strconv.FormatInt(int64((p.RetryAfter+time.Second-1)/time.Second), 10))
	}
	h.Set("Content-Type", problem.ContentType)
	dst = tunnel.AppendStatus(wire.AppendTunnelStart(dst, id), status, h)
	dst = append(append(dst, `,"data":`...), p.Encode()...)
	requestID, _ = p.Extensions["request_id"].(string)
	return append(dst, '}'), requestID
}

// tunnelProblem is problem.Answer without its log: whoever answers logs. A mapper that panics does
// so in the goroutine that reads, or a timer's: it must end neither.
func (c *Conn) tunnelProblem(r *http.Request, header http.Header, e *Error) (p *problem.Error) {
	options := *problem.OptionsFrom(r.Context())
	options.Logger = slog.New(slog.DiscardHandler)
	// the call has ended, and the mapper may look at its values all the same
	ctx := context.WithoutCancel(r.Context())
	answer := func(e *Error) *problem.Error {
		return problem.Answer(header, r.WithContext(problem.WithOptions(ctx, &options)), e)
	}
	defer func() {
		if v := recover(); v != nil {
			panicked := caught(v)
			options.Map = nil
			p = answer(&Error{Code: CodeInternalError, Err: panicked})
			logCall(c.server.log, slog.LevelError, c.server.http.Name, panicked,
				&Error{Code: CodeInternalError}, c.attr(),
				slog.Any("request_id", p.Extensions["request_id"]))
		}
	}()
	return answer(e)
}
