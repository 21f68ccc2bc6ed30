package executor

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/sse"
	"github.com/genropy/genro-asgi-go/problem"
)

const (
	eventTimeout = 10 * time.Second // how long a client may take to make room for one event
	// silence before a comment, which keeps proxies from closing the stream
	heartbeat = 15 * time.Second
)

// eventStream sends server-sent events. It begins, with its header, with the first of them.
type eventStream struct {
	w      http.ResponseWriter
	stream *sse.Stream // nil before the first event
}

func (s *eventStream) send(ctx context.Context, name string, data jsontext.Value) error {
	if err := data.Compact(); err != nil { // one line
		return err
	}
	if s.stream == nil {
		var err error
		if s.stream, err = sse.Start(ctx, sse.Response(s.w, eventTimeout), heartbeat); err != nil {
			return err
		}
	}
	return s.stream.Send(sse.Event{Type: name, Data: data})
}

func (s *eventStream) stop() {
	if s.stream != nil {
		s.stream.Stop()
	}
}

// stream answers with events. A client that does not take them ends the call.
func (h *handler[In, Out]) stream(ctx context.Context, w http.ResponseWriter, r *http.Request,
	in In, call *CallOptions,
) {
	if err := sse.Supported(w); err != nil {
		h.refuse(w, r, err)
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	events := &eventStream{w: w}
	defer events.stop()
	var options CallOptions
	if call != nil {
		options = *call
	}
	also := options.Progress
	options.Progress = func(value jsontext.Value) {
		if also != nil {
			also(bytes.Clone(value))
		}
		if ctx.Err() != nil {
			return
		}
		if err := events.send(r.Context(), "progress", value); err != nil {
			cancel(fmt.Errorf("executor: send progress: %w", err))
		}
	}
	out, err := h.call(ctx, in, &options)
	var body []byte
	if err == nil {
		var b bytes.Buffer
		err = h.of.out.writeJSON(&b, &out)
		body = b.Bytes()
	}
	name := "result"
	if err != nil {
		if events.stream == nil {
			h.refuse(w, r, err)
			return
		}
		name = "error"
		body, err = problem.Answer(w.Header(), r, h.public(err)).Encode(), nil
	}
	if err == nil {
		err = events.send(r.Context(), name, body)
	}
	if err != nil { // no client may take a stream without its end for a whole one
		panic(http.ErrAbortHandler)
	}
}
