package wsx_test

import (
	"context"
	"fmt"
	"iter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

func ExampleHandleStream() {
	type lines struct {
		Lines int `json:"lines"`
	}
	d := wsx.NewDispatcher()
	wsx.HandleStream(d, "poem",
		func(_ context.Context, _ struct{}, out *lines) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				for _, line := range []string{
					"an old silent pond", "a frog jumps into the pond",
					"splash! silence again",
				} {
					if !yield(line, nil) {
						return
					}
					out.Lines++
				}
			}
		})

	// Over a connection, wsxclient.Stream and Stream are loops over the items. In this process:
	result, err := d.Serve(context.Background(),
		&wsx.Request{Method: "poem", Emit: func(item jsontext.Value) error {
			fmt.Println(string(item))
			return nil
		}})
	fmt.Println(string(result), err)
	// Output:
	// "an old silent pond"
	// "a frog jumps into the pond"
	// "splash! silence again"
	// {"lines":3} <nil>
}

func ExampleDispatcher_Serial() {
	type edit struct {
		Document string `json:"document"`
		Text     string `json:"text"`
	}
	d := wsx.NewDispatcher()
	wsx.Handle(d, "edit",
		func(_ context.Context, e edit) (string, error) { return e.Document + ": " + e.Text, nil })
	d.Serial(&wsx.SerialOptions{Key: func(_ context.Context, r *wsx.Request) string {
		var of struct {
			Document string `json:"document"`
		}
		if json.Unmarshal(r.Params, &of) != nil {
			return "" // the method refuses them
		}
		return of.Document // one document's edits run one after the other
	}}, "edit")
	fmt.Println(d.Call(context.Background(), "edit", jsontext.Value(`{"document":"a","text":"x"}`)))
	// Output: "a: x" <nil>
}
