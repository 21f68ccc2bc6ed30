package wsxclient

import (
	"context"
	"iter"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
)

// CallOptions configure [CallWith]. nil and the zero value are valid.
type CallOptions struct {
	// Retry makes the client ask again until there is an answer: on the next connection when this
	// one was lost, and when the server answered UNAVAILABLE, or anything with
	// details.retry_after_ms, after that time, else a random one as between attempts to connect.
	// The server may then run the method more than once: it is for methods which that does no harm.
	// ctx bounds it, and a message that the server refuses by closing the connection is given up at
	// the second time (ErrPoison). Default: a call is sent once at most.
	Retry bool
}

// Call calls a method of the server and decodes its result into an Out; members that Out lacks are
// ignored, and a jsontext.Value gets the result as it is. params are encoded as JSON; nil means
// none. Of a method with a stream it returns the result alone. See the package's documentation for
// ctx and errors.
func Call[Out any](ctx context.Context, c *Client, method string, params any) (Out, error) {
	return CallWith[Out](ctx, c, method, params, nil)
}

// CallWith is [Call] with options, which may be nil.
func CallWith[Out any](ctx context.Context, c *Client, method string, params any,
	opts *CallOptions,
) (Out, error) {
	var out Out
	encoded, err := clientcall.EncodeParams(method, params)
	if err != nil {
		return out, err
	}
	encode, err := c.encodeCall(ctx, method, encoded)
	if err != nil {
		return out, err
	}
	var result []byte
	switch {
	case opts != nil && opts.Retry:
		result, err = c.retryCall(ctx, encode)
	case c.offline != nil:
		result, err = c.offlineCall(ctx, len(method)+len(encoded), encode)
	default:
		result, err = c.current().request(ctx, nil, encode)
	}
	if err == nil {
		err = clientcall.Decode("the result", method, result, &out)
	}
	return out, err
}

// Stream calls a method of the server that has a stream and yields its items, decoded as Call
// decodes results. The call begins and ends with the loop; leaving it early sends rpc.cancel. After
// an error the loop ends. opts, which may be nil, has a place for the result:
//
//	var total Counted
//	opts := &wsx.StreamOptions{Result: &total}
//	for n, err := range wsxclient.Stream[int](ctx, c, "count", Count{N: 3}, opts) {
//		if err != nil {
//			return err
//		}
//		// n
//	}
//	// total
//
// A loop that does not keep up makes the server's iterator wait: see wsx.StreamOptions.
func Stream[Item any](ctx context.Context, c *Client, method string, params any,
	opts *wsx.StreamOptions,
) iter.Seq2[Item, error] {
	if opts == nil {
		opts = &wsx.StreamOptions{}
	}
	return func(yield func(Item, error) bool) {
		if c.opts.JSONRPC {
			var none Item
			yield(none, clientcall.ErrNoStreams)
			return
		}
		l := c.current()
		defer l.served.waitsFor(ctx)()
		table := func() (*clientcall.Table, error) { return &l.calls, nil }
		o := clientcall.StreamOptions(*opts)
		clientcall.Items[Item](ctx, table, method, params, nil, o)(yield)
	}
}
