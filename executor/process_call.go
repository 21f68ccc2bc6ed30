package executor

import (
	"context"
	"log/slog"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/executor/internal/frame"
)

// exchange sends c and awaits its end.
func (w *process) exchange(ctx context.Context, c *call, opts *CallOptions) {
	defer func() {
		if !c.settled {
			// a callback panicked, or ended the goroutine: the call is cancelled, and nobody hears
			// of it any more
			gone, cancel := context.WithCancel(context.Background())
			cancel()
			c.logger = slog.New(slog.DiscardHandler)
			w.await(gone, c, func(jsontext.Value) {})
		}
	}()
	request := c.request.Bytes()
	if deadline, ok := ctx.Deadline(); ok {
		frame.SetTimeout(request, max(time.Until(deadline), 1))
	}
	if err := w.send(ctx, c, request); err != nil {
		w.group.killBroken(err) // a frame may have gone in part
	}
	w.await(ctx, c, opts.Progress)
	if c.dropped > 0 {
		c.logger.LogAttrs(ctx, slog.LevelWarn,
			"executor: log records of a function were dropped, because they came quicker than "+
				"they were taken",
			slog.String("func", c.name), slog.Int("records", c.dropped))
	}
}

// send writes the frame, after the files that it names. One that the pipe can hold goes without
// further ado; the write of a larger one ends with ctx, as the worker may be stuck.
func (w *process) send(ctx context.Context, c *call, request []byte) error {
	for _, f := range c.opened[:resultFile] {
		if f == nil {
			continue
		}
		if err := w.shared.Pass(f); err != nil {
			return err
		}
	}
	if len(request)*w.pool.opts.CallsPerWorker > 32<<10 && ctx.Done() != nil {
		stop := context.AfterFunc(ctx, w.group.kill)
		defer stop()
	}
	return w.in.Write(request, c.others)
}

// cancel ends c after its context has ended, first by asking, then by force, until c.finished says
// that it has ended.
func (w *process) cancel(c *call) {
	defer func() { c.cancelDone <- struct{}{} }()
	if w.pending.withdraw(c) {
		c.finish(moved)
		w.answers.wake()
		<-c.finished
		return
	}
	// an error: the worker is dying, and c will be told
	_ = w.control.Write(frame.New(frame.Cancel, c.id, nil), false)
	timer := time.NewTimer(w.pool.opts.CancelGrace)
	defer timer.Stop()
	steps := [...]struct {
		do   func()
		wait time.Duration
	}{
		{w.group.terminate, w.pool.opts.TermGrace},
		{w.group.kill, lastGrace},
		{func() { w.abandon(c) }, 0},
	}
	for _, step := range steps {
		select {
		case <-c.finished:
			return
		case <-timer.C:
			step.do()
			timer.Reset(step.wait)
		}
	}
	<-c.finished
}

// abandon ends c though its worker is not gone: not even the kernel could end it.
func (w *process) abandon(c *call) {
	if w.pending.remove(c) {
		w.answers.abandoned.Store(true) // all calls of this worker are lost
		w.answers.wake()
		c.crash = &CrashError{Func: c.name, PID: w.pid, Kind: CrashKilled, ExitCode: -1}
		c.finish(0)
	}
}
