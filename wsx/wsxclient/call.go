package wsxclient

import (
	"context"
	"iter"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/internal/outcall"
)

// Call calls a method of the server and decodes its result into an Out; members that Out lacks are ignored, and a jsontext.Value gets
// the result as it is. params are encoded as JSON; nil means none. Of a method with a stream it returns the result alone. See the
// package's documentation for ctx and errors.
func Call[Out any](ctx context.Context, c *Client, method string, params any) (Out, error) {
	var out Out
	encoded, err := outcall.EncodeParams(method, params)
	if err != nil {
		return out, err
	}
	result, err := c.current().request(ctx, nil, outcall.Request(ctx, method, encoded, false))
	if err == nil {
		err = outcall.Decode("the result", method, result, &out)
	}
	return out, err
}

// Stream calls a method of the server that has a stream and yields its items, decoded as Call decodes results. The call begins and ends
// with the loop; leaving it early sends rpc.cancel. After an error the loop ends. opts, which may be nil, has a place for the result:
//
//	var total Counted
//	for n, err := range wsxclient.Stream[int](ctx, c, "count", Count{N: 3}, &wsx.StreamOptions{Result: &total}) {
//		if err != nil {
//			return err
//		}
//		// n
//	}
//	// total
//
// A loop that does not keep up makes the server wait, and what else the connection brings: see wsx.StreamOptions.
func Stream[Item any](ctx context.Context, c *Client, method string, params any, opts *wsx.StreamOptions) iter.Seq2[Item, error] {
	if opts == nil {
		opts = &wsx.StreamOptions{}
	}
	return func(yield func(Item, error) bool) {
		l := c.current()
		defer l.served.waits(ctx)()
		table := func() (*outcall.Table, error) { return &l.calls, nil }
		outcall.Items[Item](ctx, table, method, params, outcall.StreamOptions(*opts))(yield)
	}
}
