package wsconn

import (
	"context"
	"encoding/binary"
	"net"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// pings are those that wait for their pong.
type pings struct {
	mu      lockorder.Mutex
	n       uint64
	waiting map[string]chan struct{}
}

// Ping sends a ping and waits for its pong, which somebody must read, until ctx ends.
func (c *Conn) Ping(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx) // else a quick pong could be what decides
	}
	p := &c.pings
	pong := make(chan struct{})
	p.mu.Lock()
	p.n++
	payload := binary.BigEndian.AppendUint64(nil, p.n)
	if p.waiting == nil {
		p.waiting = make(map[string]chan struct{})
	}
	p.waiting[string(payload)] = pong
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.waiting, string(payload))
		p.mu.Unlock()
	}()
	if err := c.queue.sendControl(appendFrame(nil, opPing, payload, false, c.client)); err !=
		nil {
		return err
	}
	select {
	case <-pong:
		return nil
	case <-c.done:
		return net.ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *pings) pong(payload []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pong, ok := p.waiting[string(payload)]; ok {
		close(pong)
		delete(p.waiting, string(payload))
	}
}
