//go:build unix

package taskshttp_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/executor/executortest"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
)

// refusals are what a function of these tests returns, by name.
var refusals = map[string]func() error{
	"everything": func() error {
		return &problem.Error{
			Status: 409, Code: "SOLD_OUT", Type: "urn:sold-out", Title: "Sold out",
			Detail: "None is left.", Instance: "/orders/7",
			Fields:     []problem.Field{{In: "query", Pointer: "/size", Detail: "is gone"}},
			RetryAfter: 1001 * time.Millisecond,
			Extensions: map[string]any{"left": int64(1<<53 + 1), "sizes": []any{"s", 2.0}},
			Err:        errors.New("private"),
		}
	},
	"wrapped": func() error {
		return fmt.Errorf("private: %w",
			tasks.Permanent(problem.NotFound("There is no such order.")))
	},
	"joined": func() error {
		return errors.Join(problem.Field{Pointer: "/a", Detail: "is odd"}, errors.New("private"))
	},
	"large": func() error {
		return &problem.Error{
			Status: 400, Code: "C", Detail: "Odd.",
			Extensions: map[string]any{"x": strings.Repeat("x", 17<<10)},
		}
	},
	"no JSON": func() error {
		return &problem.Error{
			Status: 400, Detail: "Odd.",
			Extensions: map[string]any{"f": func() {}},
		}
	},
	"plain":    func() error { return errors.New("private") },
	"teapot":   func() error { return fmt.Errorf("private: %w", teapot{}) },
	"deadline": func() error { return fmt.Errorf("private: %w", context.DeadlineExceeded) },
}

func refuse(_ context.Context, how string) (int, error) { return 0, refusals[how]() }

var isolatedRefuse = tasks.NewIsolated("refuse.isolated", refuse)

func TestTaskError_KeepsTheProblem(t *testing.T) {
	ex := executortest.New(t, &executor.Options{Workers: 2, Stderr: t.Output()})
	m := tasks.New(memstore.New(), &tasks.Options{Executor: ex})
	kinds := []*tasks.Kind[string, int]{
		tasks.Register(m, "refuse", 1, refuse, nil),
		tasks.RegisterIsolated(m, 1, isolatedRefuse, nil),
	}
	h := taskshttp.Handler(m, &taskshttp.Options{Kinds: []string{"refuse", "refuse.isolated"}})
	start(t, m)
	for _, k := range kinds {
		for how, refusal := range refusals {
			t.Run(k.Name()+" "+how, func(t *testing.T) {
				original := refusal()
				task := must[*tasks.Task](t)(k.Submit(t.Context(), how, nil))
				_, err := k.Result(t.Context(), task.ID)
				failed, ok := errors.AsType[*tasks.TaskError](err)
				if !ok || failed.StatusCode() != problem.From(original).StatusCode() ||
					failed.Message != original.Error() {
					t.Fatalf("%#v", err)
				}
				want := problem.Of(original)
				got, public := errors.AsType[*problem.Error](err)
				if public != (want != nil) {
					t.Fatalf("public: %v", public)
				}
				if want != nil {
					kept := *want
					kept.Err = nil
					if how == "large" || how == "no JSON" {
						kept.Extensions = nil
					}
					if !reflect.DeepEqual(*got, kept) {
						t.Errorf("%+v, want %+v", *got, kept)
					}
				}
				task = must[*tasks.Task](t)(m.Get(t.Context(), task.ID))
				if !reflect.DeepEqual(task.View().Error.Problem, got) ||
					task.View().Error.Status != failed.StatusCode() {
					t.Errorf("a page that shows it has %+v", task.View().Error)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/"+task.ID+"/result", nil))
				told := new(problem.Error)
				if err := json.Unmarshal(w.Body.Bytes(), told); err != nil ||
					w.Code != failed.StatusCode() || strings.Contains(w.Body.String(), "private") {
					t.Fatalf("%d %s", w.Code, w.Body)
				}
				if told.Extensions["task"] != task.ID || told.Extensions["state"] != "failed" ||
					(told.Extensions["request_id"] != nil) != (w.Code >= 500) {
					t.Errorf("%s", w.Body)
				}
				for _, own := range []string{"task", "state", "error", "request_id"} {
					delete(told.Extensions, own)
				}
				if len(told.Extensions) == 0 {
					told.Extensions = nil
				}
				if public && !reflect.DeepEqual(told, got) {
					t.Errorf("the client has %+v", told)
				}
				if after := w.Header().Get("Retry-After"); (after == "2") != (how == "everything") {
					t.Errorf("Retry-After %q", after)
				}
			})
		}
	}
}

func TestTask_ProblemIsWhyItHasNoResult(t *testing.T) {
	odd := &tasks.TaskError{Kind: tasks.ErrorTimeout, Attempt: 2}
	for want, task := range map[string]*tasks.Task{
		`null`: {ID: "a", State: tasks.Running, Error: odd},
		`{"title":"Conflict","status":409,"state":"cancelled",` +
			`"task":"a"}`: {ID: "a", State: tasks.Cancelled, Error: odd},
		`{"title":"Gateway Timeout","status":504,"error":{"kind":"timeout","status":504,` +
			`"attempt":2},"state":"failed","task":"a"}`: {ID: "a", State: tasks.Failed, Error: odd},
		`{"title":"Internal Server ` +
			`Error","status":500,"error":{"kind":"crash","status":500,"attempt":0},` +
			`"state":"dead","task":"a"}`: {
			ID: "a", State: tasks.Dead,
			Error: &tasks.TaskError{Kind: tasks.ErrorCrash},
		},
	} {
		if got := must[[]byte](t)(json.Marshal(task.Problem())); string(got) != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestHandler_RefusesAsItsProgramSays(t *testing.T) {
	for want, err := range map[string]error{
		`{"title":"Service Unavailable","status":503,"detail":"Ask ` +
			`later.","retry_after":3,`: fmt.Errorf("private: %w",
			problem.Unavailable(3*time.Second, "Ask later.")),
		`{"title":"I'm a teapot",` +
			`"status":418}`: fmt.Errorf("private: %w", teapot{}),
		`{"title":"Forbidden",` +
			`"status":403}`: errors.New("private"),
	} {
		m := tasks.New(memstore.New(), nil)
		tasks.Register(m, "job", 1, nothing, nil)
		for _, opts := range []*taskshttp.Options{
			{Authorize: func(tasks.Call) error { return err }},
			{
				Kinds: []string{"job"},
				Submit: func(*http.Request, string) (*tasks.SubmitOptions, error) {
					return nil, err
				},
			},
		} {
			w := httptest.NewRecorder()
			taskshttp.Handler(m, opts).ServeHTTP(w,
				httptest.NewRequest(http.MethodPost, "/job", nil))
			if !strings.HasPrefix(w.Body.String(), want) {
				t.Errorf("%d %s, want %s", w.Code, w.Body, want)
			}
		}
	}
}
