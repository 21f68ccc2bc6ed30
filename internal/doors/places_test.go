package doors_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/executor/executortest"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/wsx"
)

// paged is an input whose rules call a field as HTTP does.
type paged struct {
	Limit int `query:"limit" json:"max"`
}

func (paged) Validate() error {
	return errors.Join(problem.Field{In: "query", Pointer: "/limit", Detail: "is too much"})
}

func pages(context.Context, paged) (int, error) { return 0, nil }

var pagesFunc = executor.NewFunc("pages", pages)

// Over HTTP a field is called by its tag; wherever the input is one JSON value, by its member
// there.
func TestDoors_CallAFieldAsItsSenderDoes(t *testing.T) {
	var request error
	read := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		var in paged
		request = r.JSON(&in)
		return nil, request
	})
	post := httptest.NewRequest("POST", "/", strings.NewReader(`{"max":7}`))
	post.Header.Set("Content-Type", "application/json")
	read(httptest.NewRecorder(), post)

	w := httptest.NewRecorder()
	asgi.Handle(pages)(w, httptest.NewRequest("GET", "/?limit=7", nil))
	if !strings.Contains(w.Body.String(),
		`[{"in":"query","pointer":"/limit","detail":"is too much"}]`) {
		t.Error(w.Body)
	}

	methods := wsx.NewDispatcher()
	wsx.Handle(methods, "pages", pages)
	_, called := methods.Call(t.Context(), "pages", jsontext.Value(`{"max":7}`))
	if peer, err := json.Marshal(wsx.PeerError(called)); err != nil ||
		!strings.Contains(string(peer), `[{"in":"body","pointer":"/max","detail":"is too much"}]`) {
		t.Errorf("wsx: %s, %v", peer, err)
	}

	jobs := tasks.New(memstore.New(), nil)
	kind := tasks.Register(jobs, "pages", 1, pages, nil)
	_, submitted := kind.Submit(t.Context(), paged{7}, nil)
	_, sent := jobs.Submit(t.Context(), "pages", jsontext.Value(`{"max":7}`), nil)

	_, ran := pagesFunc.Run(t.Context(), executortest.New(t, nil), paged{7})
	for name, err := range map[string]error{
		"Request.JSON": request, "Kind.Submit": submitted,
		"Manager.Submit": sent, "executor": ran,
	} {
		p := problem.Of(err)
		if p == nil || p.Status != 422 || len(p.Fields) != 1 ||
			p.Fields[0] != (problem.Field{In: "body", Pointer: "/max", Detail: "is too much"}) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}
