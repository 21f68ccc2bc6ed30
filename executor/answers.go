package executor

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/executor/internal/frame"
	"github.com/genropy/genro-asgi-go/executor/internal/shared"
)

// errWoken ends a wait for the next answer, because the call of the one who waits has ended
// otherwise.
var errWoken = errors.New("executor: woken")

// answers is the pipe by which a worker answers. One goroutine at a time reads from it, for itself
// and for all others: the one that has filled reading.
type answers struct {
	calls     *pendingCalls
	shared    *shared.Side
	pipe      *os.File
	reading   chan struct{} // capacity 1: full while somebody reads
	abandoned atomic.Bool   // the process cannot be ended: nothing is read any more

	// For who is reading.
	in     *bufio.Reader
	atHead bool          // what is read next is the beginning of a frame
	buf    []byte        // for the next frame
	last   time.Duration // when the last answer came, on clock
}

func newAnswers(pipe *os.File, calls *pendingCalls) *answers {
	a := &answers{calls: calls, shared: calls.shared, pipe: pipe, reading: make(chan struct{}, 1)}
	a.in = bufio.NewReaderSize(a, 64<<10)
	return a
}

// Read implements io.Reader, for in. A deadline that has passed is a wake: it interrupts only
// between frames.
func (a *answers) Read(b []byte) (int, error) {
	for {
		n, err := a.pipe.Read(b)
		if !errors.Is(err, os.ErrDeadlineExceeded) || a.abandoned.Load() {
			return n, err
		}
		_ = a.pipe.SetReadDeadline(time.Time{}) // as that below
		if a.abandoned.Load() {                 // at the same moment: its deadline is gone, too
			return n, err
		}
		if a.atHead {
			return n, errWoken
		}
	}
}

// wake makes who waits for an answer look whether its call has ended.
func (a *answers) wake() {
	_ = a.pipe.SetReadDeadline(time.Unix(0, 1)) // an error: closed, and nobody waits
}

// receive reads one frame and hands it to its call. It is for who is reading.
func (a *answers) receive() error {
	if a.in.Buffered() < frame.HeadSize {
		a.atHead = true
		_, err := a.in.Peek(frame.HeadSize)
		a.atHead = false
		if errors.Is(err, errWoken) {
			return err
		} // any other error comes again
	}
	t, id, payload, err := frame.Read(a.in, a.buf)
	if err != nil {
		return err
	}
	a.buf = payload
	switch t {
	case frame.Result, frame.Failure, frame.Panic:
		return a.end(t, id, payload)
	case frame.Progress, frame.Log:
		a.calls.tell(t, id, payload)
		return nil
	default:
		return fmt.Errorf("%w: type %d where an answer is due", frame.ErrMalformed, t)
	}
}

// end ends a call with its answer, if it is not given up.
func (a *answers) end(t frame.Type, id uint64, payload []byte) error {
	var large *shared.File
	var err error
	if t == frame.Result && len(payload) > 0 && payload[0] != 0 {
		if large, err = a.shared.Take(string(payload[1:])); errors.Is(err, shared.ErrFile) {
			return fmt.Errorf("%w: result", frame.ErrMalformed)
		}
	}
	c := a.calls.take(id)
	if c == nil {
		if large != nil { // nobody's
			large.Close()
		}
		return nil
	}
	a.shared.Free(c.slot)
	now := clock()
	c.took, c.at, a.last = now-max(c.sent, a.last), now, now
	c.opened[resultFile], c.fileErr = large, err
	c.answer, a.buf = payload, c.answer // no copy: the buffers change places
	c.finish(t)
	return nil
}

// buffered reports whether receive can do without reading from the pipe.
func (a *answers) buffered() bool {
	n := a.in.Buffered()
	if n < frame.HeadSize {
		return false
	}
	length, _ := a.in.Peek(4) // it is there
	return n-4 >= int(binary.LittleEndian.Uint32(length))
}

// await returns when c has ended. With one call at a time no goroutine reads from the worker but
// the caller's, so that the answer comes straight to the one who asked; of several callers that
// find themselves in that position one reads for all. For calls that come when
// there are others already, readForAll reads. The end of ctx sets off cancel, in a goroutine of its
// own.
func (w *process) await(ctx context.Context, c *call, progress func(jsontext.Value)) {
	gone := ctx.Done()
	if c.canceling {
		gone = nil
	}
	reading := w.answers.reading // nil once nothing can be read any more, and the owner will end c
	if c.readFor {
		reading = nil
	}
	for {
		select {
		case <-c.done:
			c.settled = true
			if c.canceling { // cancel ends before c is used again
				c.finished <- struct{}{}
				<-c.cancelDone
				select { // it may have gone without
				case <-c.finished:
				default:
				}
				c.canceling = false
			}
			for len(c.logs) > 0 {
				c.log(ctx, <-c.logs)
			}
			for len(c.events) > 0 {
				progress(<-c.events)
			}
			return
		case value := <-c.events:
			progress(value)
		case record := <-c.logs:
			c.log(ctx, record)
		case <-gone:
			gone, c.canceling = nil, true
			go w.cancel(c)
		case reading <- struct{}{}:
			watched, err := w.readUntil(ctx, c, gone != nil)
			<-w.answers.reading
			if !watched && gone != nil {
				gone, c.canceling = nil, true
			}
			if err != nil && !errors.Is(err, errWoken) { // dead already, or it broke the protocol
				w.group.killBroken(err)
				reading = nil
			}
		}
	}
}

// readUntil reads for all until there is something for c. It reports whether ctx may still set off
// cancel, as watched says it may before.
func (w *process) readUntil(ctx context.Context, c *call, watched bool) (still bool, err error) {
	var stop func() bool
	for err == nil && len(c.done) == 0 && len(c.events) == 0 && len(c.logs) == 0 {
		if watched && stop == nil && !w.answers.buffered() { // about to wait where ctx is not seen
			stop = context.AfterFunc(ctx, func() { w.cancel(c) })
		}
		err = w.answers.receive()
	}
	return watched && (stop == nil || stop()), err
}

// readForAll reads for all calls, until there are none.
func (w *process) readForAll() {
	w.answers.reading <- struct{}{}
	var err error
	for err == nil || errors.Is(err, errWoken) {
		err = w.answers.receive()
		if err == nil && w.pending.readerDone() {
			break
		}
	}
	<-w.answers.reading
	if err != nil { // dead already, or it broke the protocol
		w.group.killBroken(err)
	}
}
