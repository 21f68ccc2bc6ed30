package wsxclient

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx"
)

const (
	// maxServerDelay is how long the client waits at most because the server asked it to.
	maxServerDelay = 5 * time.Minute
	// pacedFor is how long it keeps to a rate that it was refused over, and maxGap the gap between
	// two that it makes of it.
	pacedFor = time.Minute
	maxGap   = time.Second
)

// serverDelay is the details.retry_after_ms of the server's error, zero when there is none.
func serverDelay(err error) time.Duration {
	refused, ok := errors.AsType[*wsx.Error](err)
	if !ok {
		return 0
	}
	raw, ok := refused.Details.(jsontext.Value)
	var in struct {
		RetryAfterMS float64 `json:"retry_after_ms"`
	}
	if !ok || json.Unmarshal(raw, &in) != nil || in.RetryAfterMS <= 0 {
		return 0
	}
	return time.Duration(min(in.RetryAfterMS, float64(maxServerDelay/time.Millisecond)) *
		float64(time.Millisecond))
}

// pacer spaces what the client repeats by itself, once the server has refused something over its
// rate: hundreds of subscriptions that begin again at once would have it close the connection
// (4429), again and again. What the program asks for is its own affair.
type pacer struct {
	mu    lockorder.Mutex
	gap   time.Duration // between two: the longest wait that the server asked for lately
	next  time.Time     // when the next may be sent
	until time.Time     // when the gap is forgotten
}

// refused is the server's word that something came too soon, by after.
func (p *pacer) refused(after time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.After(p.until) {
		p.gap = 0
	}
	p.gap, p.until = max(p.gap, min(after, maxGap)), now.Add(pacedFor)
	if again := now.Add(p.gap); p.next.Before(again) {
		p.next = again
	}
}

// slot takes the next place and returns how long it is until then.
func (p *pacer) slot() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.After(p.until) && now.After(p.next) {
		return 0
	}
	at := p.next
	if at.Before(now) {
		at = now
	}
	p.next = at.Add(p.gap)
	return at.Sub(now)
}

// pause waits before something is asked again over l, unless l ends before: as long as the server
// asked for, or a random time. The error is ctx's.
func (c *Client) pause(ctx context.Context, l *link, b *backoff, refusal error) error {
	after := serverDelay(refusal)
	wait := b.next(&c.opts)
	if after > 0 {
		c.pace.refused(after)
		wait = max(after, c.pace.slot())
	}
	return l.sleep(ctx, wait)
}

// sleep waits, unless l ends before. The error is ctx's.
func (l *link) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	wait := time.NewTimer(d)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-l.closed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
