package wsx

import (
	"context"
	stdjson "encoding/json"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// BenchmarkDispatch measures one message from its bytes to the bytes of its answer, without a
// socket: as the server does it, through one middleware, and written naively on encoding/json with
// a map of functions.
func BenchmarkDispatch(b *testing.B) {
	text := []byte(`{"type":"rpc.request","id":1,"method":"add","params":{"a":2,"b":40}}`)
	const want = `{"type":"rpc.response","id":1,"result":{"sum":42}}`

	serve := func(d *Dispatcher) func(b *testing.B) {
		return func(b *testing.B) {
			var m wire.Message
			r := new(Request)
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				if m.Parse(text, wire.Rules{}) != wire.OK {
					b.Fatal("refused")
				}
				*r = Request{
					Params: m.Params,
					result: appender{b: wire.AppendResponseStart(out[:0], m.ID)},
				}
				if err := d.lookup(m.Method).call(b.Context(), r); err != nil {
					b.Fatal(err)
				}
				out = wire.AppendEnd(r.result.b, nil)
			}
			if string(out) != want {
				b.Fatalf("%s", out)
			}
		}
	}
	plain := NewDispatcher()
	Handle(plain, "add", benchAdd)
	b.Run("dispatcher", serve(plain))

	wrapped := NewDispatcher()
	wrapped.Use(func(next Handler) Handler {
		return func(ctx context.Context, r *Request) error { return next(ctx, r) }
	})
	Handle(wrapped, "add", benchAdd)
	b.Run("middleware", serve(wrapped))

	b.Run("naive", func(b *testing.B) {
		methods := map[string]func(context.Context, stdjson.RawMessage) (any, error){
			"add": func(ctx context.Context, params stdjson.RawMessage) (any, error) {
				var in benchParams
				if err := stdjson.Unmarshal(params, &in); err != nil {
					return nil, err
				}
				return benchAdd(ctx, in)
			},
		}
		var out []byte
		b.ReportAllocs()
		for b.Loop() {
			var m struct {
				Type   string             `json:"type"`
				ID     stdjson.RawMessage `json:"id"`
				Method string             `json:"method"`
				Params stdjson.RawMessage `json:"params"`
			}
			if err := stdjson.Unmarshal(text, &m); err != nil {
				b.Fatal(err)
			}
			result, err := methods[m.Method](b.Context(), m.Params)
			if err != nil {
				b.Fatal(err)
			}
			out, err = stdjson.Marshal(struct {
				Type   string             `json:"type"`
				ID     stdjson.RawMessage `json:"id"`
				Result any                `json:"result"`
			}{"rpc.response", m.ID, result})
			if err != nil {
				b.Fatal(err)
			}
		}
		if string(out) != want {
			b.Fatalf("%s", out)
		}
	})
}
