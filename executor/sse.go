package executor

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// eventTimeout is how long a client may take to make room for one event.
const eventTimeout = 10 * time.Second

// eventStream writes server-sent events (WHATWG HTML, section 9.2). Its header goes with the first event.
type eventStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (s *eventStream) send(name string, data jsontext.Value) error {
	if err := data.Compact(); err != nil { // one line
		return err
	}
	if !s.begun {
		s.begun = true
		s.w.Header().Set("Content-Type", "text/event-stream")
		s.w.Header().Set("Cache-Control", "no-store")
		s.w.Header().Set("X-Content-Type-Options", "nosniff")
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(eventTimeout)) // not every writer can
	if _, err := fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", name, data); err != nil {
		return err
	}
	return s.control.Flush()
}

// stream answers with events. A client that does not take them ends the call.
func (h *handler[In, Out]) stream(ctx context.Context, w http.ResponseWriter, r *http.Request, in In, call *CallOptions) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	events := &eventStream{w: w, control: http.NewResponseController(w)}
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
		if err := events.send("progress", value); err != nil {
			cancel(fmt.Errorf("executor: send progress: %w", err))
		}
	}
	out, err := h.call(ctx, in, &options)
	var body []byte
	if err == nil {
		body, err = json.Marshal(&out)
	}
	if err == nil {
		_ = events.send("result", body) // the client is gone: nobody is left to tell
		return
	}
	if !events.begun {
		h.refuse(w, r, err)
		return
	}
	p, ok := h.problem(r, err)
	if !ok {
		return
	}
	if body, err = json.Marshal(p, allowInvalid); err == nil {
		_ = events.send("error", body)
	}
}
