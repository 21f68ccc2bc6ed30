package main

import (
	"context"

	"github.com/genropy/genro-asgi-go/wsx"
)

type subtractIn struct {
	Minuend    int `json:"minuend"`
	Subtrahend int `json:"subtrahend"`
}

// specification adds the methods of the examples in the JSON-RPC 2.0 specification, section 7.
func specification(d *wsx.Dispatcher) {
	wsx.Handle(d, "subtract",
		func(_ context.Context, in subtractIn) (int, error) {
			return in.Minuend - in.Subtrahend, nil
		})
	wsx.Handle(d, "sum", func(_ context.Context, in []int) (int, error) {
		sum := 0
		for _, n := range in {
			sum += n
		}
		return sum, nil
	})
	wsx.Handle(d, "get_data",
		func(context.Context, struct{}) ([]any, error) { return []any{"hello", 5}, nil })
	for _, name := range []string{"update", "notify_hello", "notify_sum"} {
		wsx.HandleNotify(d, name, func(context.Context, []int) error { return nil })
	}
}
