package wsx

import (
	"context"
	"net/http"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/problem"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// maxHTTPBody is how many bytes one answer of the tunnel may hold by default.
const maxHTTPBody = 1 << 20

// tunnel serves one message of the HTTP tunnel: as any request, but that its method is the handler of ServerOptions.
func (c *Conn) tunnel(m *wire.Message, in *buffer) (kept, leader bool) {
	var t wire.TunnelRequest
	if fault := t.Parse(m.Raw, c.server.opts.MaxDepth); fault != wire.OK {
		c.answerError(wire.Tunnel, t.ID, NewError(fault.Code(), fault.Text()))
		return false, true
	}
	m.Type, m.ID, m.Params = wire.Request, t.ID, m.Raw
	return c.begin(c.server.http, m, in, nil)
}

// serveHTTP is the method behind the tunnel. Its result is what follows the id in the answer.
func (s *Server) serveHTTP(ctx context.Context, r *Request) error {
	k := ctx.(*call) // a builtin has no middleware to wrap it
	var t wire.TunnelRequest
	t.Parse(r.Params, s.opts.MaxDepth) // which tunnel has found good
	req, err := k.httpRequest(&t)
	if err != nil {
		return err
	}
	w := &tunnelWriter{call: k, head: req.Method == http.MethodHead, header: make(http.Header), limit: s.opts.MaxHTTPBody}
	defer w.end()
	s.opts.HTTP.ServeHTTP(w, req)
	r.result, err = w.finish(r.result)
	return err
}

// interim sends a message that comes before the call's answer, with room waited for until ctx ends. After the answer there is none.
func (c *call) interim(ctx context.Context, b []byte) error {
	return c.out.Send(c, func(uint64) error { return c.conn.ws.Send(ctx, websocket.MessageText, b) })
}

// appendTunnelError appends an answer that is a problem (RFC 9457) with the error's code.
func appendTunnelError(dst, id []byte, e *Error, details []byte) []byte {
	p := problem.Problem{Status: e.StatusCode(), Detail: e.text(), Extensions: map[string]any{"code": e.Code}}
	if p.Status == statusClientClosed {
		p.Title = "Client Closed Request"
	}
	if details != nil {
		p.Extensions["details"] = jsontext.Value(details)
	}
	body, err := json.Marshal(p, jsontext.AllowInvalidUTF8(true))
	if err != nil { // the details, which are JSON of the handler's own, are not strict enough
		delete(p.Extensions, "details")
		body, _ = json.Marshal(p, jsontext.AllowInvalidUTF8(true))
	}
	dst = wire.AppendTunnelStart(dst, id)
	dst = appendStatus(dst, p.Status, http.Header{"Content-Type": {problem.ContentType}})
	dst = append(append(dst, `,"data":`...), body...)
	return append(dst, '}')
}
