package respwriter

import (
	"fmt"
	"net/http"
)

// CanFlush returns nil where what is written to w can be sent at once, else an error that matches
// errors.ErrUnsupported and names the type that stands in the way, for whoever wrote it.
func CanFlush(w http.ResponseWriter) error {
	switch t := innermost(w).(type) {
	case interface{ FlushError() error }, http.Flusher:
		return nil
	default:
		return &hiddenError{"flush", t}
	}
}

// CanHijack returns nil where the connection of w can be taken over, else an error as CanFlush
// does.
func CanHijack(w http.ResponseWriter) error {
	t := innermost(w)
	if _, ok := t.(http.Hijacker); !ok {
		return &hiddenError{"be hijacked", t}
	}
	return nil
}

// innermost is the writer that all those around it can only ask: their own methods Flush and Hijack
// promise nothing. A middleware's writer without Unwrap is the innermost one, whatever is in it.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapped, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		inner := wrapped.Unwrap()
		if inner == nil {
			return w
		}
		w = inner
	}
}

type hiddenError struct {
	what   string
	writer http.ResponseWriter
}

func (e *hiddenError) Error() string {
	return fmt.Sprintf(
		"the response writer (%T) cannot %s: where it is a middleware's, it needs a method "+
			"Unwrap() http.ResponseWriter", e.writer, e.what)
}

func (e *hiddenError) Unwrap() error { return http.ErrNotSupported }
