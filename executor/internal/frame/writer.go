package frame

import (
	"io"
	"runtime"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// Writer writes whole frames from many goroutines. A frame goes out at once when nobody is
// writing; those that come meanwhile are joined and leave in one write, by the goroutine that was
// writing.
type Writer struct {
	w io.Writer

	mu      lockorder.Mutex
	writing bool
	// frames that wait for the writing goroutine; bounded by the calls a worker may have
	joined []byte
	spare  []byte
	err    error
}

// NewWriter makes a Writer that writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write queues or writes frame and does not keep it. With join it first lets those goroutines run
// that are ready to, whose frames may then leave in the same write: for when other calls are under
// way, and a write costs more than a call (BenchmarkWriter). After an error every write has that
// error.
func (p *Writer) Write(frame []byte, join bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return p.err
	}
	if p.writing || join {
		p.joined = append(p.joined, frame...)
	}
	if p.writing {
		return nil
	}
	p.writing = true
	if join {
		p.mu.Unlock()
		runtime.Gosched()
		p.mu.Lock()
		frame = p.takeLocked()
	}
	for len(frame) > 0 {
		p.mu.Unlock()
		_, err := p.w.Write(frame)
		p.mu.Lock()
		if err != nil {
			p.err = err
			break
		}
		frame = p.takeLocked()
	}
	p.writing = false
	return p.err
}

// takeLocked takes the frames that have been joined; they are good until the next but one call.
func (p *Writer) takeLocked() []byte {
	frame := p.joined
	p.joined, p.spare = p.spare[:0], frame
	if cap(p.joined) > MaxValue { // one burst of large frames must not be kept for good
		p.joined = nil
	}
	return frame
}
