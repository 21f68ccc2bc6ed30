package wsxclient

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// Call calls a method of the server and decodes its result into an Out; members that Out lacks are ignored, and a jsontext.Value gets
// the result as it is. params are encoded as JSON; nil means none. See the package's documentation for ctx and errors.
func Call[Out any](ctx context.Context, c *Client, method string, params any) (Out, error) {
	var out Out
	result, err := c.call(ctx, method, params)
	if err != nil {
		return out, err
	}
	if raw, ok := any(&out).(*jsontext.Value); ok {
		*raw = result
		return out, nil
	}
	if err := json.Unmarshal(result, &out); err != nil {
		return out, fmt.Errorf("wsx: decode the result of %q: %w", method, err)
	}
	return out, nil
}

func (c *Client) call(ctx context.Context, method string, params any) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	encoded, err := encodeParams(method, params)
	if err != nil {
		return nil, err
	}
	answer := make(chan reply, 1)
	n, ok := c.register(answer)
	if !ok {
		<-c.ended
		return nil, c.err
	}
	id := strconv.AppendUint(nil, n, 10)
	var meta []byte
	if deadline, ok := ctx.Deadline(); ok {
		meta = wire.AppendTimeout(nil, time.Until(deadline))
	}
	if err := c.sendOr(ctx, wire.AppendRequest(nil, id, method, encoded, meta)); err != nil {
		c.forget(n)
		return nil, err
	}
	select {
	case r := <-answer:
		return r.result, r.err
	case <-ctx.Done():
		if c.forget(n) {
			c.send(ctx, wire.AppendCancel(nil, id)) // it has ended, so this does not wait: without room there is no telling the server
		}
		return nil, context.Cause(ctx)
	}
}

// register makes place for an answer, unless the connection has ended.
func (c *Client) register(answer chan<- reply) (uint64, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending == nil {
		return 0, false
	}
	c.next++
	c.pending[c.next] = answer
	return c.next, true
}

// forget reports whether the call was still waiting.
func (c *Client) forget(n uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, waiting := c.pending[n]
	delete(c.pending, n)
	return waiting
}

func parseID(id []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(id), 10, 64)
	return n, err == nil
}
