package clientcall

import (
	"context"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// Producer numbers what a call that is being served sends before its answer, and keeps to the
// window that the caller gave.
type Producer struct {
	// Window is how many rpc.stream the caller holds that it has not acknowledged; zero is no
	// limit.
	Window uint64

	mu   lockorder.Mutex
	seq  uint64
	next uint64        // the caller has taken what comes before it
	more chan struct{} // closed when next has grown; nil while nobody waits for that
}

// Send calls send with the next number, once the window allows it, unless ctx, the call's, has
// ended or ends before.
func (p *Producer) Send(ctx context.Context, send func(seq uint64) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.Window > 0 && p.seq-p.next >= p.Window && ctx.Err() == nil {
		if p.more == nil {
			p.more = make(chan struct{})
		}
		more := p.more
		p.mu.Unlock()
		done := Waits(ctx)
		select {
		case <-more:
		case <-ctx.Done():
		}
		done()
		p.mu.Lock()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := send(p.seq)
	if err == nil {
		p.seq++
	}
	return err
}

// Ack is the caller's word that it has taken what comes before next. What was not sent yet it
// cannot have taken.
func (p *Producer) Ack(next uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if next <= p.next || next > p.seq {
		return
	}
	p.next = next
	if p.more != nil {
		close(p.more)
		p.more = nil
	}
}

// Settle waits for a Send under way whose ctx has ended. No other follows it, so that the answer
// may.
func (p *Producer) Settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
}
