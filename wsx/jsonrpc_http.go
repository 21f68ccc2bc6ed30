package wsx

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx/internal/documents"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// JSONRPCOptions configure [JSONRPC]. nil and the zero value are valid: a field that is zero means
// its default, and a negative limit means none.
type JSONRPCOptions struct {
	// MaxBody is how many bytes a request's body may have; 64 KiB; over it 413.
	MaxBody int64
	// MaxDepth is how many levels of JSON may nest; 32; over it INVALID_REQUEST.
	MaxDepth int
	// MaxBatch is how many elements a batch may have; 100; over it each of its requests is
	// INVALID_REQUEST and none runs. 16 run at a time.
	MaxBatch int
	// Timeout ends calls that take longer, whatever their meta.timeout_ms: DEADLINE_EXCEEDED, when
	// their handler returns. None when zero.
	Timeout time.Duration
	// Describe switches the methods wsx.describe and rpc.discover on, as ServerOptions.Describe
	// does; METHOD_NOT_FOUND when nil.
	Describe *DescribeOptions
	// Debug sends the text of internal errors to clients. Never in production.
	Debug bool
	// Logger gets what clients are not told; slog.Default() when nil.
	Logger *slog.Logger
}

// JSONRPC serves d's methods as JSON-RPC 2.0 over HTTP: by POST, with a body that is
// application/json, batches and notifications included. The answer is 200, or 204 without a body
// when there is nothing to answer, whatever the calls came to; what is no JSON-RPC over HTTP at all
// is answered with a problem (RFC 9457), by problem.Write: 405, 413, 415, 408 for a body that took
// too long, 400 for one that did not come whole.
//
// A call's context is the request's: it ends when the client goes away. [ConnFrom] gives nil.
// Subscribing is a CONFLICT: it takes a connection. It panics when d is nil. opts may be nil. The
// handler holds nothing that needs an end.
func JSONRPC(d *Dispatcher, opts *JSONRPCOptions) http.Handler {
	if d == nil {
		panic("wsx: JSONRPC: the dispatcher is nil")
	}
	h := &jsonrpcHandler{dispatcher: d, log: slog.Default()}
	if opts != nil {
		h.opts = *opts
	}
	o := &h.opts
	if o.Logger != nil {
		h.log = o.Logger
	}
	if o.MaxBody == 0 {
		o.MaxBody = 64 << 10
	}
	if o.MaxBody < 0 {
		o.MaxBody = math.MaxInt64
	}
	if o.MaxDepth < 0 {
		o.MaxDepth = 1 << 20
	}
	if o.MaxBatch == 0 {
		o.MaxBatch = maxBatch
	}
	if o.MaxBatch < 0 {
		o.MaxBatch = math.MaxInt
	}
	h.own = describing(d, o.Describe, nil)
	return h
}

// sideBySide is how many elements of one batch run at a time over HTTP.
const sideBySide = 16

type jsonrpcHandler struct {
	dispatcher *Dispatcher
	opts       JSONRPCOptions
	own        map[string]*method // the protocol's own methods
	log        *slog.Logger
}

// ServeHTTP implements http.Handler.
func (h *jsonrpcHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if p, ok := w.(*describe.Probe); ok {
		p.Add(documents.JSONRPC())
		return
	}
	body, ok := h.body(w, r)
	if !ok {
		return
	}
	answer := h.answer(r.Context(), body)
	if len(answer) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(answer)))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(answer) // the client is gone: nobody is left to tell
}

// body reads the request's body, or answers with a problem.
func (h *jsonrpcHandler) body(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	refuse := func(status int, detail string, cause error) ([]byte, bool) {
		problem.Write(w, r, &problem.Error{Status: status, Detail: detail, Err: cause})
		return nil, false
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return refuse(http.StatusMethodNotAllowed, "JSON-RPC is sent by POST.", nil)
	}
	name, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if charset, ok := params["charset"]; err != nil || name != "application/json" || ok &&
		!strings.EqualFold(charset, "utf-8") {
		w.Header().Set("Accept-Post", "application/json")
		return refuse(http.StatusUnsupportedMediaType,
			"The body must be application/json in UTF-8.", nil)
	}
	if coding := r.Header.Get("Content-Encoding"); coding != "" &&
		!strings.EqualFold(coding, "identity") {
		w.Header().Set("Accept-Encoding", "identity")
		return refuse(http.StatusUnsupportedMediaType, "The body must not be encoded.", nil)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.opts.MaxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		problem.Write(w, r, err)
		return nil, false
	}
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			// the client may be there still: its network is slow
			return refuse(http.StatusRequestTimeout, "The body took too long.", err)
		}
		return refuse(http.StatusBadRequest, "The body did not come whole.", err)
	}
	return body, true
}

// answer serves a message, and returns nil when there is nothing to answer.
func (h *jsonrpcHandler) answer(ctx context.Context, body []byte) []byte {
	var one element
	one.fault = one.Parse(body, wire.Rules{Depth: h.opts.MaxDepth, JSONRPC: true})
	if !one.Batch() {
		return h.serve(ctx, &one)
	}
	elements, refused := readBatch(&one.Message, one.fault, h.opts.MaxBatch, h.opts.MaxDepth)
	if refused != nil {
		return refused.answer(h.appendError)
	}
	var whole []byte
	b := newBatch(elements)
	b.send = func(answer []byte, _ bool) { whole = answer }
	var running sync.WaitGroup
	places := make(chan struct{}, sideBySide)
	for i := range elements {
		e := &elements[i]
		if e.fault == wire.OK && e.Type == wire.Request && b.twice(e.ID, elements[:i]) {
			b.add(e.ID,
				h.fail(e.ID, NewError(CodeInvalidRequest, "a request with this id is in flight")),
				nil, false)
			continue
		}
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			answer := h.fail(e.ID, peerError(errExited, h.opts.Debug))
			defer func() { // also when the handler ends its goroutine
				if v := recover(); v != nil {
					// of what is around the handler: the logger, an error's own methods
					logCall(h.log, slog.LevelError, string(e.Method), caught(v),
						&Error{Code: CodeInternalError})
				}
				if e.answered() {
					b.add(e.ID, answer, nil, false)
				}
			}()
			answer = h.serve(ctx, e)
		})
	}
	running.Wait()
	return whole
}

// serve serves one message, by itself or of a batch. It returns the answer, nil when there is none.
func (h *jsonrpcHandler) serve(ctx context.Context, e *element) []byte {
	if e.fault != wire.OK {
		if !e.answered() {
			return nil
		}
		return h.fail(e.ID, jsonrpcFault(e.fault))
	}
	if e.Type != wire.Request && e.Type != wire.Notify {
		return nil // an answer, to what nobody asked
	}
	timeout := e.Timeout
	if most := h.opts.Timeout; most > 0 && (timeout == 0 || most < timeout) {
		timeout = most
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	r := &Request{
		Params: e.Params, Meta: e.Meta, Notify: e.Type == wire.Notify,
		dialect: wire.JSONRPC,
	}
	if !r.Notify {
		r.result.b = wire.AppendJSONRPCResultStart(nil, e.ID)
	}
	err := h.call(ctx, string(e.Method), r)
	switch {
	case err != nil:
		coded := peerError(err, h.opts.Debug)
		logCall(h.log, levelOf(coded), string(e.Method), err, coded)
		if r.Notify {
			return nil
		}
		return h.fail(e.ID, coded)
	case r.Notify:
		return nil
	default:
		return wire.AppendEnd(r.result.b, nil)
	}
}

func (h *jsonrpcHandler) call(ctx context.Context, name string, r *Request) error {
	m := h.dispatcher.lookup([]byte(name))
	if m == nil {
		m = h.own[name]
	}
	if m != nil {
		return m.call(context.WithValue(ctx, requestKey{}, r), r)
	}
	if name == "rpc.subscribe" || name == "rpc.unsubscribe" {
		return NewError(CodeConflict, "subscriptions take a connection: use a WebSocket")
	}
	return methodNotFound(name)
}

// fail is the answer that is an error; an id of nil is null.
func (h *jsonrpcHandler) fail(id []byte, e *Error) []byte {
	return h.appendError(nil, id, e)
}

func (h *jsonrpcHandler) appendError(dst, id []byte, e *Error) []byte {
	dst, err := appendError(wire.JSONRPC, dst, id, e)
	if err != nil {
		h.log.LogAttrs(context.Background(), slog.LevelError, "wsx: error sent without its details",
			slog.String("code", e.Code), errAttr(err))
	}
	return dst
}
