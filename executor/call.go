package executor

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
)

const (
	quickMax  = 200 * time.Microsecond // a call this short makes the next one wait briefly
	quickWait = 100 * time.Microsecond // what that wait may take: it holds a processor of the scheduler
	lastGrace = 5 * time.Second        // what a killed process may take to be gone before its call is given up
)

// call is the caller's side of one call. They are reused.
type call struct {
	name    string
	request bytes.Buffer // the frame
	head    callHead
	bodyAt  int      // where the body begins in request
	opened  [3]*file // input, output, body
	logger  *slog.Logger
	events  chan []byte // progress, nil if not wanted

	id             uint64
	others         bool          // other calls were under way in the worker when this one began
	over, canceled chan struct{} // capacity 1: from the call to cancel that it has ended, and back that cancel has
	done           chan struct{} // capacity 1: what follows is set
	kind           frameType
	answer         []byte // payload of the answer
	crash          *CrashError
	result         []byte // body of the result
}

var calls = sync.Pool{New: func() any {
	return &call{done: make(chan struct{}, 1), over: make(chan struct{}, 1), canceled: make(chan struct{}, 1)}
}}

const eventsMax = 64 // progress values that wait for a slow caller

// recycle makes c ready for another call. Nobody else knows c any more.
func (c *call) recycle() {
	for i, f := range c.opened {
		if f != nil {
			f.close()
			c.opened[i] = nil
		}
	}
	if c.request.Cap() > 64<<10 || cap(c.answer) > 64<<10 {
		return
	}
	c.head, c.logger, c.events, c.crash, c.result = callHead{}, nil, nil, nil, nil
	calls.Put(c)
}

// prepare sets up the streams and writes the frame's beginning.
func (c *call) prepare(ex *Executor, opts *CallOptions) error {
	c.logger = opts.Logger
	if c.logger == nil {
		c.logger = ex.opts.Logger
	}
	c.head = callHead{name: c.name, progress: opts.Progress != nil, level: levelOf(c.logger)}
	if opts.Progress != nil {
		c.events = make(chan []byte, eventsMax)
	}
	if opts.Input != nil {
		f, err := ex.pool.files.create()
		if err != nil {
			return fmt.Errorf("executor: file for the input: %w", err)
		}
		c.opened[0], c.head.input = f, f.name
		n, err := io.Copy(f, io.LimitReader(opts.Input, ex.opts.MaxPayload+1))
		if err != nil {
			return fmt.Errorf("executor: read the input: %w", err)
		}
		if n > ex.opts.MaxPayload {
			return fmt.Errorf("%w: input of more than %d bytes", ErrTooLarge, ex.opts.MaxPayload)
		}
	}
	if opts.Output != nil {
		f, err := ex.pool.files.create()
		if err != nil {
			return fmt.Errorf("executor: file for the output: %w", err)
		}
		c.opened[1], c.head.output = f, f.name
	}
	c.writeHead()
	return nil
}

// levelOf is the least of slog's levels that l takes, so that the others need not travel.
func levelOf(l *slog.Logger) int8 {
	level := slog.LevelDebug
	for level <= slog.LevelError && !l.Enabled(context.Background(), level) {
		level += 4
	}
	return int8(level)
}

func (c *call) writeHead() {
	c.request.Reset()
	c.request.Write(c.head.append(beginFrame(c.request.AvailableBuffer(), frameCall, 0)))
	c.bodyAt = c.request.Len()
}

// seal ends the frame; a large body moves to a file.
func (c *call) seal(ex *Executor) error {
	body := c.request.Bytes()[c.bodyAt:]
	if int64(len(body)) > ex.opts.MaxPayload {
		return fmt.Errorf("%w: value of %d bytes, limit %d", ErrTooLarge, len(body), ex.opts.MaxPayload)
	}
	if len(body) > inlineMax {
		f, err := ex.pool.files.create()
		if err != nil {
			return fmt.Errorf("executor: file for the value: %w", err)
		}
		c.opened[2], c.head.file = f, f.name
		if _, err := f.Write(body); err != nil {
			return fmt.Errorf("executor: write the value: %w", err)
		}
		c.writeHead()
	}
	endFrame(c.request.Bytes())
	return nil
}

// notify queues a progress value; the oldest makes room. Its only caller is the goroutine that reads from the worker.
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

// do runs c in a worker and leaves the body of its result in c.result.
func (p *pool) do(ctx context.Context, c *call, opts *CallOptions) error {
	begun, err := p.gate.enter(ctx, opts)
	if err != nil {
		return err
	}
	var w *process
	for {
		if w, err = p.take(ctx); err != nil {
			p.gate.leave(opts.Key, -1, outcomeFailed)
			return err
		}
		if w.begin(c) {
			break
		}
		p.give(w) // it died at this moment, and the call has not begun
	}
	w.exchange(ctx, c, opts)
	now := clock()
	if p.opts.CallsPerWorker == 1 { // else others use w at the same time
		w.quick = now-begun < quickMax
	}
	how, err := w.outcome(ctx, c)
	p.give(w)
	p.gate.leave(opts.Key, now-begun, how)
	return err
}

// exchange sends c and awaits its end.
func (w *process) exchange(ctx context.Context, c *call, opts *CallOptions) {
	frame := c.request.Bytes()
	setFrameID(frame, c.id)
	if deadline, ok := ctx.Deadline(); ok {
		binary.LittleEndian.PutUint64(frame[timeoutOffset:], uint64(max(time.Until(deadline), 1)))
	}
	if err := w.send(ctx, c, frame); err != nil {
		w.end() // a frame may have gone in part; if the worker died by itself, this changes nothing
	}
	if w.quick && w.awaitBriefly(c) {
		return
	}
	w.await(ctx, c, opts.Progress)
}

// send writes the frame. One that the pipe can hold goes without further ado; the write of a larger one ends with ctx, as the worker may be stuck.
func (w *process) send(ctx context.Context, c *call, frame []byte) error {
	if len(frame)*w.pool.opts.CallsPerWorker > 32<<10 && ctx.Done() != nil {
		stop := context.AfterFunc(ctx, w.kill)
		defer stop()
	}
	return w.in.write(frame, c.others)
}

// cancel ends c after its context has ended, first by asking, then by force, until c.over says that it has ended.
func (w *process) cancel(c *call) {
	defer func() { c.canceled <- struct{}{} }()
	_ = w.control.write(newFrame(frameCancel, c.id, nil), false) // an error: the worker is dying, and c will be told
	timer := time.NewTimer(w.pool.opts.CancelGrace)
	defer timer.Stop()
	steps := [...]struct {
		do   func()
		wait time.Duration
	}{{w.terminate, w.pool.opts.TermGrace}, {w.kill, lastGrace}, {func() { w.desert(c) }, 0}}
	for _, step := range steps {
		select {
		case <-c.over:
			return
		case <-timer.C:
			step.do()
			timer.Reset(step.wait)
		}
	}
	<-c.over
}

// desert ends c though its worker is not gone: not even the kernel could end it.
func (w *process) desert(c *call) {
	if w.giveUp(c) {
		_ = w.answers.SetReadDeadline(time.Unix(0, 1)) // wakes who reads, for all calls of this worker are lost
		c.crash = &CrashError{Func: c.name, PID: w.pid, Kind: CrashKilled, ExitCode: -1}
		c.done <- struct{}{}
	}
}

// outcome reads the answer in c.
func (w *process) outcome(ctx context.Context, c *call) (outcome, error) {
	switch {
	case c.crash != nil && c.crash.Kind == CrashKilled && ctx.Err() != nil:
		return outcomeKilled, ended(ctx, fmt.Sprintf("function %q, worker %d killed", c.name, w.pid))
	case c.crash != nil:
		if c.crash.Kind == CrashKilled && w.pool.quitting() {
			return outcomeFailed, fmt.Errorf("%w: stopped during the call", ErrNotRunning)
		}
		return outcomeFailed, c.crash
	case c.kind == frameResult:
		if err := w.result(c); err != nil {
			return outcomeFailed, err
		}
		return outcomeDone, nil
	case ctx.Err() != nil:
		return outcomeFailed, ended(ctx, fmt.Sprintf("function %q", c.name))
	case c.kind == framePanic:
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
	e := &RemoteError{Func: c.name, Message: f.Message, Status: f.Status}
	switch {
	case f.Deadline:
		e.ctx = context.DeadlineExceeded
	case f.Canceled:
		e.ctx = context.Canceled
	}
	return outcomeFailed, e
}

// result sets c.result, out of a file if the worker sent one.
func (w *process) result(c *call) error {
	if len(c.answer) == 0 {
		return errFrame
	}
	c.result = c.answer[1:]
	if c.answer[0] == 0 {
		return nil
	}
	body, err := w.pool.files.readAll(w.pid, string(c.result), w.pool.opts.MaxPayload)
	if err != nil {
		return fmt.Errorf("executor: read the result: %w", err)
	}
	c.result = body
	_ = w.control.write(newFrame(frameRelease, c.id, nil), false) // an error: the worker is dying, and its file with it
	return nil
}

// deliver copies what the function wrote to the caller's Output.
func (c *call) deliver(ex *Executor, opts *CallOptions) error {
	f := c.opened[1]
	if f == nil {
		return nil
	}
	n, err := f.size(ex.opts.MaxPayload)
	if err != nil {
		return fmt.Errorf("executor: output: %w", err)
	}
	if _, err := io.Copy(opts.Output, io.NewSectionReader(f, 0, n)); err != nil {
		return fmt.Errorf("executor: write the output: %w", err)
	}
	return nil
}
