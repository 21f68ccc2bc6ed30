package wsx_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

func ExampleHandle() {
	type divide struct {
		Dividend int `json:"dividend"`
		Divisor  int `json:"divisor"`
	}
	type quotient struct {
		Quotient int `json:"quotient"`
	}
	d := wsx.NewDispatcher()
	wsx.Handle(d, "math.divide", func(_ context.Context, in divide) (quotient, error) {
		if in.Divisor == 0 {
			return quotient{}, wsx.NewError("DIVISION_BY_ZERO", "the divisor is zero")
		}
		return quotient{in.Dividend / in.Divisor}, nil
	})

	for _, params := range []string{
		`{"dividend":84,"divisor":2}`, `{"dividend":1}`,
		`{"divident":1}`,
	} {
		result, err := d.Call(context.Background(), "math.divide", jsontext.Value(params))
		var coded *wsx.Error
		if errors.As(err, &coded) {
			fmt.Println(coded.Code, coded.StatusCode(), coded.Details)
			continue
		}
		fmt.Println(string(result))
	}
	// Output:
	// {"quotient":42}
	// DIVISION_BY_ZERO 500 <nil>
	// INVALID_PARAMS 422 {/divident [body /divident: is not known here]}
}

func ExampleDispatcher_Use() {
	d := wsx.NewDispatcher()
	d.Use(func(next wsx.Handler) wsx.Handler {
		return func(ctx context.Context, r *wsx.Request) error {
			err := next(ctx, r)
			fmt.Println(r.Method, err)
			return err
		}
	})
	users := wsx.NewDispatcher()
	wsx.HandleNotify(users, "seen", func(_ context.Context, name string) error {
		fmt.Println("saw", name)
		return nil
	})
	d.Mount("users", users)

	if _, err := d.Call(context.Background(), "users.seen", jsontext.Value(`"Ada"`)); err != nil {
		fmt.Println(err)
	}
	// Output:
	// saw Ada
	// users.seen <nil>
}

func ExampleDispatcher_Methods() {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "math.double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
	d.Describe("math.double", "twice the number")
	for _, m := range d.Methods() {
		fmt.Println(m.Kind, m.Name, m.In, m.Out, m.Doc)
	}
	// Output:
	// request math.double int int twice the number
}
