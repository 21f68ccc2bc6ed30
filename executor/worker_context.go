package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/executor/internal/frame"
	"github.com/genropy/genro-asgi-go/executor/internal/shared"
	"github.com/genropy/genro-asgi-go/internal/typed"
)

// allowInvalid lets texts that came from user code travel even when they are not UTF-8.
var allowInvalid = jsontext.AllowInvalidUTF8(true)

type envKey struct{}

// callEnv is a function's context in a worker, and what that carries.
type callEnv struct {
	context.Context
	server        *server
	id            uint64
	progress      bool
	level         slog.Level // the least of interest
	input, output *shared.File
	written       int64
}

func envOf(ctx context.Context) *callEnv {
	env, _ := ctx.Value(envKey{}).(*callEnv)
	return env
}

// Value implements context.Context.
func (e *callEnv) Value(key any) any {
	if key == (envKey{}) {
		return e
	}
	return e.Context.Value(key)
}

func (e *callEnv) close() {
	for _, f := range [...]*shared.File{e.input, e.output} {
		if f != nil {
			f.Close()
		}
	}
}

// Progress sends value, as JSON of at most 64 KiB, to the Progress of the call's options. Where
// nobody wants it, and outside a worker, it does nothing. ctx is the function's or one derived from
// it.
func Progress(ctx context.Context, value any) error {
	env := envOf(ctx)
	if env == nil || !env.progress {
		return nil
	}
	body, err := typed.Marshal(value)
	if err != nil {
		return fmt.Errorf("executor: progress: %w", err)
	}
	if len(body) > noteMax {
		return fmt.Errorf("executor: progress of %d bytes exceeds %d", len(body), noteMax)
	}
	env.server.send(frame.New(frame.Progress, env.id, body))
	return nil
}

// Input is the Input of the call's options: empty where there was none. It is for the goroutine of
// the function, until it returns.
func Input(ctx context.Context) io.Reader {
	if env := envOf(ctx); env != nil && env.input != nil {
		return env.input
	}
	return eofReader{}
}

type eofReader struct{}

func (eofReader) Read([]byte) (int, error) { return 0, io.EOF }

// errNoOutput is what a write without an Output in the call's options ends with.
var errNoOutput = errors.New("executor: the call has no output")

// Output is the Output of the call's options. What is written reaches the caller if the function
// succeeds. A write fails where the call has no Output, and beyond Options.MaxPayload. It is for
// the goroutine of the function, until it returns.
func Output(ctx context.Context) io.Writer { return outputWriter{envOf(ctx)} }

type outputWriter struct{ env *callEnv }

// Write implements io.Writer.
func (w outputWriter) Write(p []byte) (int, error) {
	if w.env == nil || w.env.output == nil {
		return 0, errNoOutput
	}
	if w.env.written+int64(len(p)) > w.env.server.max {
		return 0, fmt.Errorf("executor: output exceeds %d bytes", w.env.server.max)
	}
	n, err := w.env.output.Write(p)
	w.env.written += int64(n)
	return n, err
}

// Logger logs to the caller's logger while a function runs in a worker, with the level, time,
// attributes and groups of each record, its attribute values as JSON would show them. Elsewhere it
// is slog.Default(). Records of more than 64 KiB arrive without their attributes.
func Logger(ctx context.Context) *slog.Logger {
	if env := envOf(ctx); env != nil {
		return slog.New(&logHandler{env: env})
	}
	return slog.Default()
}

// logRecord is a log record on its way to the caller. Attribute keys bear their groups, with dots
// between.
type logRecord struct {
	Time    time.Time `json:"time"`
	Level   int       `json:"level"`
	Message string    `json:"message"`
	Attrs   []logAttr `json:"attrs,omitempty"`
}

type logAttr struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
}

type logHandler struct {
	env    *callEnv
	prefix string
	attrs  []logAttr
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.env.level
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	out := logRecord{
		Time: r.Time, Level: int(r.Level), Message: clip(r.Message),
		Attrs: append([]logAttr(nil), h.attrs...),
	}
	r.Attrs(func(a slog.Attr) bool {
		out.Attrs = appendAttr(out.Attrs, h.prefix, a)
		return true
	})
	body, err := json.Marshal(out, allowInvalid)
	if err != nil || len(body) > noteMax {
		out.Attrs = []logAttr{{"attributes_dropped", true}}
		// JSON may need six bytes for one
		out.Message = out.Message[:min(len(out.Message), noteMax/8)]
		if body, err = json.Marshal(out, allowInvalid); err != nil {
			return err
		}
	}
	h.env.server.send(frame.New(frame.Log, h.env.id, body))
	return nil
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = append([]logAttr(nil), h.attrs...)
	for _, a := range attrs {
		next.attrs = appendAttr(next.attrs, h.prefix, a)
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.prefix += name + "."
	return &next
}

func appendAttr(list []logAttr, prefix string, a slog.Attr) []logAttr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindGroup:
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, member := range v.Group() {
			list = appendAttr(list, prefix, member)
		}
		return list
	case slog.KindInt64, slog.KindUint64, slog.KindBool:
		return append(list, logAttr{prefix + a.Key, v.Any()})
	case slog.KindFloat64:
		if f := v.Float64(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return append(list, logAttr{prefix + a.Key, f})
		}
	case slog.KindAny:
		if _, isError := v.Any().(error); !isError {
			if body, err := json.Marshal(v.Any()); err == nil {
				return append(list, logAttr{prefix + a.Key, jsontext.Value(body)})
			}
		}
	}
	if a.Equal(slog.Attr{}) {
		return list
	}
	return append(list, logAttr{prefix + a.Key, v.String()})
}
