package wsxclient

import (
	"context"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// Call calls a method of the server and decodes its result into an Out; members that Out lacks are ignored, and a jsontext.Value gets
// the result as it is. params are encoded as JSON; nil means none. See the package's documentation for ctx and errors.
func Call[Out any](ctx context.Context, c *Client, method string, params any) (Out, error) {
	var out Out
	encoded, err := encodeParams(method, params)
	if err != nil {
		return out, err
	}
	result, err := c.current().request(ctx, nil, func(id []byte) []byte {
		var meta []byte
		if deadline, ok := ctx.Deadline(); ok {
			meta = wire.AppendTimeout(nil, time.Until(deadline))
		}
		return wire.AppendRequest(nil, id, method, encoded, meta)
	})
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
