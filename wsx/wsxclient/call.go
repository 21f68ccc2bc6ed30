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
	retry := opts != nil && opts.Retry
	if len(c.opts.CallMiddleware) > 0 {
		err = c.through(ctx, &CallInfo{Method: method},
			func(ctx context.Context, meta map[string]string) error {
				result, err := c.call(ctx, method, encoded, meta, retry)
				if err == nil {
					err = clientcall.Decode("the result", method, result, &out)
				}
				return err
			})
		return out, err
	}
	result, err := c.call(ctx, method, encoded, nil, retry)
	if err == nil {
		err = clientcall.Decode("the result", method, result, &out)
	}
	return out, err
}

// call makes a call and returns its result as it is. params are JSON, nil for none.
func (c *Client) call(ctx context.Context, method string, params []byte, meta map[string]string,
	retry bool,
) ([]byte, error) {
	encode, err := c.encodeCall(ctx, method, params, meta)
	switch {
	case err != nil:
		return nil, err
	case retry:
		return c.retryCall(ctx, encode)
	case c.offline != nil:
		return c.offlineCall(ctx, waitingSize(method, params, meta), encode)
	}
	return c.current().request(ctx, nil, encode)
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
		encoded, err := clientcall.EncodeParams(method, params)
		if err == nil {
			err = stream(ctx, c, method, encoded, opts, yield)
		}
		if err != nil {
			var none Item
			yield(none, err)
		}
	}
}

// stream is Stream without what yields the error, and its params are JSON, nil for none. It returns
// nil when the loop was left.
func stream[Item any](ctx context.Context, c *Client, method string, params []byte,
	opts *wsx.StreamOptions, yield func(Item, error) bool,
) error {
	left := false
	each := func(ctx context.Context, meta map[string]string) error {
		if left {
			return nil
		}
		l := c.current()
		defer l.served.waitsFor(ctx)()
		return clientcall.Each(ctx, &l.calls, method, params, meta, clientcall.StreamOptions(*opts),
			func(item Item, err error) bool {
				left = !yield(item, err)
				return !left
			})
	}
	if len(c.opts.CallMiddleware) == 0 {
		return each(ctx, nil)
	}
	err := c.through(ctx, &CallInfo{Method: method, Stream: true}, each)
	if left {
		return nil // there is nobody to be told any more
	}
	return err
}
