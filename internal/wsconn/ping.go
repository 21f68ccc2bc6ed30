package wsconn

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
)

// pings are those that wait for their pong.
type pings struct {
	mu      sync.Mutex
	n       uint64
	waiting map[string]chan error
	ended   bool
}

// Ping sends a ping and waits for its pong, which somebody must read, until ctx ends.
// (coder/websocket's own closes the connection when ctx ends while it writes.)
func (c *Conn) Ping(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p := &c.link.pings
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return net.ErrClosed
	}
	if p.waiting == nil {
		p.waiting = make(map[string]chan error)
	}
	p.n++
	payload := binary.BigEndian.AppendUint64(nil, p.n)
	pong := make(chan error, 1)
	p.waiting[string(payload)] = pong
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.waiting, string(payload))
		p.mu.Unlock()
	}()
	if err := c.link.control(appendFrame(nil, opPing, payload, false, c.client)); err != nil {
		return err
	}
	select {
	case err := <-pong:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *pings) pong(_ context.Context, payload []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pong, ok := p.waiting[string(payload)]; ok {
		pong <- nil
		delete(p.waiting, string(payload))
	}
}

// end fails the pings that wait and those to come.
func (p *pings) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, pong := range p.waiting {
		pong <- net.ErrClosed
	}
	clear(p.waiting)
}
