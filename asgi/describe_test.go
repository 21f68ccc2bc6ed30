package asgi_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/internal/describe"
)

type (
	queuedUp struct{ N int }
	wild     struct{ N int }    // whose status cannot be known
	odd      struct{ N *[]int } // which needs a value to tell its status
	either   struct {
		Status int    `status:"200,204" json:"-"`
		Tag    string `header:"etag" json:"-"`
	}
	Self struct {
		*Self
		ID int `path:"id"`
	}
)

func (queuedUp) StatusCode() int { return http.StatusAccepted }
func (wild) StatusCode() int     { return 0 }
func (o odd) StatusCode() int    { return len(*o.N) }

func answer[Out any](context.Context, Self) (out Out, err error) { return out, nil }

func TestHandle_TellsItsStatuses(t *testing.T) {
	for want, h := range map[string]http.Handler{
		"[200 application/json 0]":                          asgi.Handle(answer[int]),
		"[202 application/json 0]":                          asgi.Handle(answer[*queuedUp]),
		"[200 application/json 0] of one that is not known": asgi.Handle(answer[wild]),
		"[200 application/json 0] of a panic":               asgi.Handle(answer[odd]),
		"[204  0]":                                          asgi.Handle(answer[struct{}]),
		"[200 application/json 1 204  1]":                   asgi.Handle(answer[either]),
		"[]":                                                asgi.Handle(answer[*asgi.Reply]),
	} {
		found, ok := describe.Of(h)
		if !ok || len(found) != 1 || len(found[0].Params) != 1 {
			t.Fatalf("%+v %t", found, ok)
		}
		var told []any
		for _, a := range found[0].Responses {
			media := ""
			if a.Body != nil {
				media = a.Body[0].Type
			}
			told = append(told, a.Status, media, len(a.Headers))
		}
		if got := fmt.Sprint(told); len(want) < len(got) || want[:len(got)] != got {
			t.Errorf("%s, want %s", got, want)
		}
		if e := found[0].Errors; !slices.Contains(e, 422) || slices.Contains(e, 415) ||
			found[0].Function != "answer" {
			t.Errorf("%s: %v %q", want, e, found[0].Function)
		}
	}
}
