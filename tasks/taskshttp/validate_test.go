package taskshttp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
)

type twoNames struct {
	A string `json:"a"`
	B string `json:"b"`
	C int    `json:"c"`
}

func (in twoNames) Validate() error {
	var errs []error
	if in.A == "" {
		errs = append(errs, problem.Field{Pointer: "/a", Detail: "is needed"})
	}
	if in.B == "" {
		errs = append(errs, &problem.Field{Pointer: "/b", Detail: "is needed"})
	}
	if in.C > 1000 {
		errs = append(errs, errors.New("canary"))
	}
	return errors.Join(errs...)
}

func TestHandler_SubmitNamesTheFieldsThatValidateNames(t *testing.T) {
	m := tasks.New(memstore.New(), nil)
	tasks.Register(m, "two", 1, func(context.Context, twoNames) (int, error) { return 0, nil }, nil)
	for body, want := range map[string]string{
		`{}`: `"errors":[{"in":"body","pointer":"/a","detail":"is ` +
			`needed"},{"in":"body","pointer":"/b","detail":"is needed"}]`,
		`{"a":"x","b":"x","c":1001}`: `{"title":"Unprocessable ` +
			`Entity","status":422,"detail":"The request is not valid."}`,
		`{"a":"x","c":""}`: `"errors":[{"in":"body","pointer":"/c","detail":"must be ` +
			`an integer"}]`,
	} {
		r := httptest.NewRequest(http.MethodPost, "/two", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		taskshttp.Handler(m, &taskshttp.Options{Kinds: []string{"two"}}).ServeHTTP(w, r)
		if w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), want) ||
			strings.Contains(w.Body.String(), "canary") {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}
