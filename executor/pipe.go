package executor

import (
	"io"
	"sync"
)

// pipeWriter writes whole frames from many goroutines. A frame goes out at once when nobody is writing; those that come meanwhile are
// joined and leave in one write, by the goroutine that was writing.
type pipeWriter struct {
	w io.Writer

	mu      sync.Mutex
	writing bool
	joined  []byte // frames that wait for the writing goroutine; bounded by the calls a worker may have
	spare   []byte
	err     error
}

// write queues or writes frame and does not keep it. After an error every write has that error.
func (p *pipeWriter) write(frame []byte) error {
	p.mu.Lock()
	if p.writing || p.err != nil {
		if p.err == nil {
			p.joined = append(p.joined, frame...)
		}
		defer p.mu.Unlock()
		return p.err
	}
	p.writing = true
	for {
		p.mu.Unlock()
		_, err := p.w.Write(frame)
		p.mu.Lock()
		if err != nil {
			p.err = err
		}
		if p.err != nil || len(p.joined) == 0 {
			p.writing = false
			defer p.mu.Unlock()
			return p.err
		}
		frame = p.joined
		p.joined, p.spare = p.spare[:0], frame
		if cap(p.joined) > inlineMax { // one burst of large frames must not be kept for good
			p.joined = nil
		}
	}
}
