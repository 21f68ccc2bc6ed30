package executor_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/genropy/genro-asgi-go/executor"
)

// logsTwice logs, and once more when its context has ended.
var logsTwice = executor.NewFunc("logs-twice", func(ctx context.Context, _ none) (none, error) {
	executor.Logger(ctx).Info("first")
	<-ctx.Done()
	executor.Logger(ctx).Info("second")
	return none{}, ctx.Err()
})

// brokenLog is a handler that panics.
type brokenLog struct{ records *atomic.Int32 }

func (brokenLog) Enabled(context.Context, slog.Level) bool { return true }
func (h brokenLog) WithAttrs([]slog.Attr) slog.Handler     { return h }
func (h brokenLog) WithGroup(string) slog.Handler          { return h }
func (h brokenLog) Handle(context.Context, slog.Record) error {
	h.records.Add(1)
	panic("the log is broken")
}

// A logger of a call that panics ends the call, in the caller's goroutine, and is asked no more;
// the worker is free for others.
func TestCall_ALoggerThatPanicsIsAskedOnce(t *testing.T) {
	ex := start(t, &executor.Options{Workers: 1, Spares: -1})
	records := new(atomic.Int32)
	func() {
		defer func() {
			if v := recover(); v != "the log is broken" {
				t.Errorf("the caller recovers %v", v)
			}
		}()
		_, err := logsTwice.RunWith(t.Context(), ex, none{},
			&executor.CallOptions{Logger: slog.New(brokenLog{records})})
		t.Errorf("returned %v", err)
	}()
	if n := records.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := logsTwice.Run(ctx, ex, none{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if out, err := echo.Run(t.Context(), ex, record{}); err != nil {
		t.Error(out, err)
	}
}
