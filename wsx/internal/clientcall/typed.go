package clientcall

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// EncodeParams is params as JSON, nil when there are none.
func EncodeParams(method string, params any) ([]byte, error) {
	if params == nil {
		return nil, nil
	}
	encoded, err := typed.Marshal(params)
	if err != nil {
		return nil, fmt.Errorf("wsx: encode the params of %q: %w", method, err)
	}
	return encoded, nil
}

// Decode reads JSON that the peer sent into out, which members that it lacks do not trouble. It
// keeps raw where out is a *jsontext.Value.
func Decode(what, method string, raw []byte, out any) error {
	if v, ok := out.(*jsontext.Value); ok {
		*v = raw
		return nil
	}
	if err := typed.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("wsx: decode %s of %q: %w", what, method, err)
	}
	return nil
}

// frameRoom is what an rpc.request takes besides its members' values:
// {"type":"rpc.request","id":,"method":"","params":,"meta":}.
const frameRoom = 64

// Request encodes an rpc.request whose meta holds what is left until ctx's deadline, if it has one,
// what else is asked for, and what more has.
func Request(ctx context.Context, method string, params []byte, window int,
	progress bool, more map[string]string,
) func(id []byte) []byte {
	return func(id []byte) []byte {
		var left time.Duration
		if deadline, ok := ctx.Deadline(); ok {
			left = max(1, time.Until(deadline))
		}
		meta := wire.AppendRequestMeta(nil, left, window, progress, more)
		// as a rule all that it takes
		message := make([]byte, 0, frameRoom+len(id)+len(method)+len(params)+len(meta))
		return wire.AppendRequest(message, id, method, params, meta)
	}
}

// StreamOptions are those of a stream; wsx documents them.
type StreamOptions struct {
	Result     any
	Buffer     int
	OnProgress func(report jsontext.Value)
}

// Items yields the items of a call, decoded, as [Each] does, and at last its error. table is asked
// when the loop begins.
func Items[T any](ctx context.Context, table func() (*Table, error), method string, params any,
	more map[string]string, o StreamOptions,
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		encoded, err := EncodeParams(method, params)
		var t *Table
		if err == nil {
			t, err = table()
		}
		if err == nil {
			err = Each(ctx, t, method, encoded, more, o, yield)
		}
		if err != nil {
			var none T
			yield(none, err)
		}
	}
}

// Each calls a method with params, JSON, and more in the request's meta, yields the items, decoded
// and with an error of nil, and keeps the result in o.Result. It returns nil when the loop has
// ended: the last item is out and the result decoded, or yield has returned false.
func Each[T any](ctx context.Context, t *Table, method string, params []byte,
	more map[string]string, o StreamOptions, yield func(T, error) bool,
) error {
	if o.Buffer <= 0 {
		o.Buffer = DefaultBuffer
	}
	var wrong error
	var progress func([]byte)
	if o.OnProgress != nil {
		progress = func(report []byte) { o.OnProgress(report) }
	}
	result, finished, err := t.Stream(ctx, o.Buffer,
		Request(ctx, method, params, o.Buffer, progress != nil, more), func(raw []byte) bool {
			var item T
			if wrong = Decode("an item", method, raw, &item); wrong != nil {
				return false
			}
			return yield(item, nil)
		}, progress)
	switch {
	case !finished:
		return wrong
	case err != nil || o.Result == nil:
		return err
	}
	return Decode("the result", method, result, o.Result)
}
