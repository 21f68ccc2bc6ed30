package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx"
)

// httpError stands for the error of a package that knows only HTTP.
type httpError struct{ status int }

func (e httpError) Error() string   { return fmt.Sprintf("canary-7f3a %d", e.status) }
func (e httpError) StatusCode() int { return e.status }

func TestError_HasTheImagesOfTheProtocolPage(t *testing.T) {
	for _, tc := range []struct {
		code            string
		jsonrpc, status int
	}{
		{wsx.CodeParseError, -32700, 400},
		{wsx.CodeInvalidRequest, -32600, 400},
		{wsx.CodeMethodNotFound, -32601, 404},
		{wsx.CodeInvalidParams, -32602, 422},
		{wsx.CodeInternalError, -32603, 500},
		{wsx.CodeUnsupportedType, -32600, 400},
		{wsx.CodeUnauthenticated, -32001, 401},
		{wsx.CodePermissionDenied, -32003, 403},
		{wsx.CodeSubscriptionDenied, -32003, 403},
		{wsx.CodeNotFound, -32004, 404},
		{wsx.CodeConflict, -32009, 409},
		{wsx.CodeResourceExhausted, -32029, 429},
		{wsx.CodeCancelled, -32800, 499},
		{wsx.CodeDeadlineExceeded, -32008, 504},
		{wsx.CodeUnavailable, -32000, 503},
		{"OUT_OF_STOCK", -32050, 500},
	} {
		e := wsx.NewError(tc.code, "")
		if e.JSONRPCCode() != tc.jsonrpc || e.StatusCode() != tc.status {
			t.Errorf("%s: %d, %d; want %d, %d", tc.code, e.JSONRPCCode(), e.StatusCode(),
				tc.jsonrpc, tc.status)
		}
	}
}

func TestError_WithACodeOfTheApplicationHasTheStatusOfItsCause(t *testing.T) {
	for cause, want := range map[error]int{
		httpError{418}: 418, httpError{200}: 500,
		errors.New("x"): 500,
	} {
		e := &wsx.Error{Code: "TEAPOT", Err: fmt.Errorf("wrapped: %w", cause)}
		if got := e.StatusCode(); got != want {
			t.Errorf("%v: %d, want %d", cause, got, want)
		}
	}
}

func TestError_IsAskedForByCode(t *testing.T) {
	cause := errors.New("row 7")
	err := fmt.Errorf("get: %w",
		&wsx.Error{Code: wsx.CodeNotFound, Message: "no such order", Err: cause})
	for _, tc := range []struct {
		target error
		want   bool
	}{
		{wsx.NewError(wsx.CodeNotFound, ""), true},
		{wsx.NewError(wsx.CodeNotFound, "no such order"), true},
		{wsx.NewError(wsx.CodeNotFound, "another text"), false},
		{wsx.NewError(wsx.CodeConflict, ""), false},
		{cause, true},
	} {
		if got := errors.Is(err, tc.target); got != tc.want {
			t.Errorf("errors.Is(err, %v) = %v", tc.target, got)
		}
	}
	if got := err.Error(); got != "get: NOT_FOUND: no such order: row 7" {
		t.Error(got)
	}
	if got := wsx.NewError(wsx.CodeNotFound, "").Error(); got != "NOT_FOUND: not found" {
		t.Error(got)
	}
	if got := wsx.NewError("OUT_OF_STOCK", "").Error(); got != "OUT_OF_STOCK: OUT_OF_STOCK" {
		t.Error(got)
	}
}

func TestPeerError_TellsWhatAProblemTells(t *testing.T) {
	field := problem.Field{Pointer: "/n", Detail: "is odd"}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"status and detail": {
			problem.NotFound("No such order."),
			`{"code":"NOT_FOUND","message":"No such order."}`,
		},
		"no detail": {problem.Conflict(""), `{"code":"CONFLICT","message":"conflict"}`},
		"its own code": {
			&problem.Error{Status: 409, Code: "SOLD_OUT", Detail: "None left."},
			`{"code":"SOLD_OUT","message":"None left."}`,
		},
		"joined fields": {
			errors.Join(errors.New("canary-7f3a"), field,
				&problem.Field{In: "query", Pointer: "/q", Detail: "is long"}),
			`{"code":"INVALID_PARAMS","message":"The request has invalid ` +
				`fields.","details":{"errors":[{"in":"body","pointer":"/n","detail":"is ` +
				`odd"},{"in":"query","pointer":"/q","detail":"is long"}]}}`,
		},
		"a wait": {
			&problem.Error{Status: 429, RetryAfter: 1499*time.Millisecond + 1},
			`{"code":"RESOURCE_EXHAUSTED","message":"resource ` +
				`exhausted","details":{"retry_after_ms":1500}}`,
		},
		"extensions": {
			&problem.Error{Status: 404, Extensions: map[string]any{"id": 7}},
			`{"code":"NOT_FOUND","message":"not found","details":{"id":7}}`,
		},
	} {
		err := fmt.Errorf("canary-7f3a: %w", c.err)
		got, encodeErr := json.Marshal(wsx.PeerError(err), json.Deterministic(true))
		if encodeErr != nil || string(got) != c.want {
			t.Errorf("%s: %s, %v, want %s", name, got, encodeErr, c.want)
		}
		if e := wsx.PeerError(err); !errors.Is(e, c.err) ||
			e.StatusCode() != problem.From(err).StatusCode() {
			t.Errorf("%s: the cause is lost, or its status: %v", name, e)
		}
	}
}

func TestError_DetailsThatJSONCannotHoldAreLeftOut(t *testing.T) {
	field := problem.Field{Pointer: "/n", Detail: "is odd"}
	d := wsx.NewDispatcher()
	wsx.Handle(d, "m", func(context.Context, struct{}) (int, error) {
		return 0, &problem.Error{
			Status: 422, Fields: []problem.Field{field},
			Extensions: map[string]any{"f": func() {}, "text": "a\xff"},
		}
	})
	_, client := serve(t, d, nil)
	c := dialSocket(t, client, "ws://wsx.test/ws")
	c.send(request("1", "m", "{}"))
	want := `"details":{"errors":[{"in":"body","pointer":"/n","detail":"is odd"}],"text":"a\ufffd"}`
	if got := c.read(); !strings.Contains(got, strings.ReplaceAll(want, `\ufffd`, "\ufffd")) {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestError_IsAProblemElsewhere(t *testing.T) {
	e := &wsx.Error{
		Code: "SOLD_OUT", Message: "None left.", Details: map[string]int{"id": 7},
		Err: httpError{409},
	}
	got, err := json.Marshal(problem.Of(fmt.Errorf("x: %w", e)))
	if want := `{"title":"Conflict","status":409,"detail":"None ` +
		`left.","code":"SOLD_OUT","details":{"id":7}}`; err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
	var back problem.Error
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatal(err)
	}
	// as it comes back from a worker process, or with a task
	again, err := json.Marshal(wsx.PeerError(&back))
	if want := `{"code":"SOLD_OUT","message":"None left.","details":{"id":7}}`; err != nil ||
		string(again) != want {
		t.Errorf("%s, %v", again, err)
	}
	if got := problem.Of(&wsx.Error{Message: "canary-7f3a"}); got != nil {
		t.Errorf("%v", got)
	}
}

type odd struct{ N int }

func (o odd) Validate() error {
	return errors.Join(problem.Field{Pointer: "/N", Detail: "is odd"}, errors.New("canary-7f3a"))
}

func TestHandle_FieldErrorsOfValidateAreDetails(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "m", func(context.Context, odd) (int, error) { return 0, nil })
	_, err := d.Call(t.Context(), "m", []byte(`{"N":1}`))
	got, encodeErr := json.Marshal(wsx.PeerError(err), json.Deterministic(true))
	if want := `{"code":"INVALID_PARAMS","message":"The request has invalid ` +
		`fields.","details":{"errors":[{"in":"body","pointer":"/N",` +
		`"detail":"is odd"}]}}`; encodeErr != nil || string(got) != want {
		t.Errorf("%s, %v", got, encodeErr)
	}
}
