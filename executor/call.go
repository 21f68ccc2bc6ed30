package executor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/executor/internal/frame"
	"github.com/genropy/genro-asgi-go/executor/internal/shared"
)

const (
	// a worker whose last call took less than this may have calls wait in its pipe
	quickMax = 200 * time.Microsecond
	// so many of them: BenchmarkFunc_Run, default options beside no calls ahead
	ahead = 15
	// bytes of such a call: all of them fit into a pipe of pipeMin, so that no write waits for the
	// worker
	lightMax = 2 << 10
	pipeMin  = 64 << 10 // what pipes hold on Linux, unless the user has too many
	// what a killed process may take to be gone before its call is given up
	lastGrace = 5 * time.Second
)

// call is the caller's side of one call. They are reused.
type call struct {
	name    string
	request bytes.Buffer // the frame
	head    frame.CallHead
	meta    []byte          // of head
	bodyAt  int             // where the body begins in request
	opened  [4]*shared.File // by the constants below
	ctx     context.Context // of the caller, for the log; set when it is sent
	logger  *slog.Logger
	events  chan []byte // progress, nil if not wanted
	logs    chan []byte // log records, for the goroutine of the caller
	waiter  waiter      // its place in the queue
	dropped int         // log records that had no room there; guarded by pendingCalls.mu

	slot uint8    // of the worker's board
	from *process // the worker that it was moved from
	next *process // the worker that the call was moved to, which counts it already

	nextSlot uint8 // of next

	pid       int // of the worker that had it, 0 before its end
	id        uint64
	sent      time.Duration // when, on clock
	at        time.Duration // when its answer came, on clock; 0 before
	took      time.Duration // from its begin to its answer, about
	others    bool          // other calls were under way in the worker when this one began
	readFor   bool          // another goroutine reads the answers
	canceling bool          // cancel was set off
	settled   bool          // done was received
	// capacity 1: from the call to cancel that it has ended, and back that cancel has
	finished, cancelDone chan struct{}
	done                 chan struct{} // capacity 1: what follows is set
	kind                 frame.Type
	answer               []byte // payload of the answer
	fileErr              error  // why opened has no result
	crash                *CrashError
	result               []byte // body of the result
}

// Whose file it is in opened.
const (
	inputFile = iota
	outputFile
	bodyFile
	resultFile
)

// moved is the kind of a call that has not begun and goes to another worker. It is no frame's.
const moved = frame.Types

var calls = sync.Pool{New: func() any {
	return &call{
		done: make(chan struct{}, 1), finished: make(chan struct{}, 1),
		cancelDone: make(chan struct{}, 1), logs: make(chan []byte, eventsMax),
		waiter: waiter{verdict: make(chan error, 1)},
	}
}}

const eventsMax = 64 // progress values, and log records, that wait for a slow caller

// finish tells the caller. Who does has taken c out of the pending calls.
func (c *call) finish(kind frame.Type) {
	c.kind = kind
	c.done <- struct{}{}
}

// recycle makes c ready for another call. Nobody else knows c any more.
func (c *call) recycle() {
	for i, f := range c.opened {
		if f != nil {
			f.Close()
			c.opened[i] = nil
		}
	}
	if c.request.Cap() > 64<<10 || cap(c.answer) > 64<<10 {
		return
	}
	c.head, c.ctx, c.logger, c.events, c.dropped = frame.CallHead{}, nil, nil, nil, 0
	c.crash, c.result, c.from, c.next, c.pid = nil, nil, nil, nil, 0
	calls.Put(c)
}

// prepare sets up the streams and writes the frame's beginning, with what info has for the worker,
// if there is any.
func (c *call) prepare(ctx context.Context, ex *Executor, opts *CallOptions, info *CallInfo) error {
	c.logger = opts.Logger
	if c.logger == nil {
		c.logger = ex.opts.Logger
	}
	c.head = frame.CallHead{
		Name: c.name, Progress: opts.Progress != nil, Level: levelOf(ctx, c.logger),
	}
	if info != nil && len(info.Meta) > 0 {
		var ok bool
		if c.meta, ok = frame.AppendMeta(c.meta[:0], info.Meta); !ok {
			return fmt.Errorf("%w: function %q: CallInfo.Meta of more than %d bytes",
				ErrTooLarge, c.name, frame.MaxMeta)
		}
		c.head.Meta = c.meta
	}
	if opts.Progress != nil {
		c.events = make(chan []byte, eventsMax)
	}
	if opts.Input != nil {
		f, err := shared.CreateFile(ex.pool.dir)
		if err != nil {
			return fmt.Errorf("executor: function %q: file for the input: %w", c.name, err)
		}
		c.opened[inputFile], c.head.Input = f, f.ID
		n, err := io.Copy(f, io.LimitReader(opts.Input, ex.opts.MaxPayload+1))
		if err != nil {
			return fmt.Errorf("executor: function %q: read the input: %w", c.name, err)
		}
		if n > ex.opts.MaxPayload {
			return fmt.Errorf("%w: function %q: input of more than Options.MaxPayload, %d bytes",
				ErrTooLarge, c.name, ex.opts.MaxPayload)
		}
	}
	if opts.Output != nil {
		f, err := shared.CreateFile(ex.pool.dir)
		if err != nil {
			return fmt.Errorf("executor: function %q: file for the output: %w", c.name, err)
		}
		c.opened[outputFile], c.head.Output = f, f.ID
	}
	c.writeHead()
	return nil
}

// levelOf is the least of slog's levels that l takes, so that the others need not travel.
func levelOf(ctx context.Context, l *slog.Logger) int8 {
	level := slog.LevelDebug
	for level <= slog.LevelError && !l.Enabled(ctx, level) {
		level += 4
	}
	return int8(level)
}

func (c *call) writeHead() {
	c.request.Reset()
	c.request.Write(c.head.Append(frame.Begin(c.request.AvailableBuffer(), frame.Call, 0)))
	c.bodyAt = c.request.Len()
}

// seal ends the frame; a large body moves to a file.
func (c *call) seal(ex *Executor) error {
	body := c.request.Bytes()[c.bodyAt:]
	if int64(len(body)) > ex.opts.MaxPayload {
		return fmt.Errorf("%w: function %q: value of %d bytes, Options.MaxPayload is %d",
			ErrTooLarge, c.name, len(body), ex.opts.MaxPayload)
	}
	if len(body) > frame.MaxValue {
		f, err := shared.CreateFile(ex.pool.dir)
		if err != nil {
			return fmt.Errorf("executor: function %q: file for the value: %w", c.name, err)
		}
		c.opened[bodyFile], c.head.File = f, f.ID
		if _, err := f.Write(body); err != nil {
			return fmt.Errorf("executor: function %q: write the value: %w", c.name, err)
		}
		c.writeHead()
	}
	frame.End(c.request.Bytes())
	return nil
}

// notify queues a progress value; the oldest makes room. Its only caller is the goroutine that
// reads from the worker.
func (c *call) notify(value []byte) {
	if c.events == nil {
		return
	}
	value = bytes.Clone(value)
	for {
		select {
		case c.events <- value:
			return
		default:
		}
		select {
		case <-c.events:
		default:
		}
	}
}

// note queues a log record, if there is room: who reads from the worker waits for no caller's
// logger.
func (c *call) note(record []byte) {
	select {
	case c.logs <- bytes.Clone(record):
	default:
		c.dropped++
	}
}

// light reports whether c may wait in the pipe of a worker that has another call: it must fit
// there, and is to be moved easily.
func (c *call) light() bool {
	return c.request.Len() <= lightMax && c.opened[inputFile] == nil &&
		c.opened[outputFile] == nil && c.opened[bodyFile] == nil
}

// deliver copies what the function wrote to the caller's Output.
func (c *call) deliver(ex *Executor, opts *CallOptions) error {
	f := c.opened[outputFile]
	if f == nil {
		return nil
	}
	n, err := f.Size(ex.opts.MaxPayload)
	if err != nil {
		return fmt.Errorf("executor: function %q: output: %w", c.name, err)
	}
	if _, err := io.Copy(opts.Output, io.NewSectionReader(f, 0, n)); err != nil {
		return fmt.Errorf("executor: function %q: write the output: %w", c.name, err)
	}
	return nil
}

// log replays a record of the worker, in the goroutine of the call's caller and with its context,
// of which a handler may want values.
func (c *call) log(ctx context.Context, payload []byte) {
	var in logRecord
	if err := json.Unmarshal(payload, &in, allowInvalid); err != nil ||
		!c.logger.Enabled(ctx, slog.Level(in.Level)) {
		return
	}
	r := slog.NewRecord(in.Time, slog.Level(in.Level), in.Message, 0)
	for _, a := range in.Attrs {
		r.AddAttrs(slog.Any(a.Key, a.Value))
	}
	_ = c.logger.Handler().Handle(ctx, r) // as slog.Logger does
}

// outcome reads the answer of w, or what became of the call without one.
func (c *call) outcome(ctx context.Context, w *process) (outcome, error) {
	switch {
	case c.crash != nil && c.crash.Kind == CrashKilled && ctx.Err() != nil:
		return outcomeKilled, contextError(ctx,
			fmt.Sprintf(
				"function %q, worker %d killed, for it did not return within Options.CancelGrace",
				c.name, w.pid))
	case c.crash != nil:
		if c.crash.Kind == CrashKilled && w.pool.quitting() {
			return outcomeFailed, fmt.Errorf("%w: function %q: stopped during the call",
				ErrNotRunning, c.name)
		}
		return outcomeFailed, c.crash
	case c.kind == frame.Result:
		if err := c.takeResult(w.pool.opts.MaxPayload); err != nil {
			return outcomeFailed, err
		}
		return outcomeDone, nil
	case ctx.Err() != nil:
		return outcomeFailed, contextError(ctx, fmt.Sprintf("function %q", c.name))
	case c.kind == frame.Panic:
		e := &PanicError{}
		if err := json.Unmarshal(c.answer, e, allowInvalid); err != nil {
			return outcomeFailed, fmt.Errorf("executor: decode a panic: %w", err)
		}
		return outcomeFailed, e
	}
	var f failure
	if err := json.Unmarshal(c.answer, &f, allowInvalid); err != nil {
		return outcomeFailed, fmt.Errorf("executor: decode an error: %w", err)
	}
	return outcomeFailed, f.error(c.name)
}

// takeResult sets c.result, out of a file if the worker sent one.
func (c *call) takeResult(limit int64) error {
	if len(c.answer) == 0 {
		return frame.ErrMalformed
	}
	c.result = c.answer[1:]
	if c.answer[0] == 0 {
		return nil
	}
	err := c.fileErr
	if err == nil {
		c.result, err = c.opened[resultFile].ReadAll(limit)
	}
	if err != nil {
		return fmt.Errorf("%w: function %q: read it: %w", ErrResult, c.name, err)
	}
	return nil
}
