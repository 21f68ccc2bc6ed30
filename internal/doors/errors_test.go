package doors_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx"
)

// request is the input of the function.
type request struct {
	Return string `json:"return"` // which of the failures; "" is none
	Echo   bool   `json:"echo"`   // the result is the input, as JSON
	input
}

// Validate returns what is marked so.
func (r request) Validate() error {
	if f := failures[r.Return]; f.validates {
		return f.err()
	}
	return nil
}

// serve is the function.
func serve(_ context.Context, in request) (string, error) {
	if f, ok := failures[in.Return]; ok {
		return "", f.err()
	}
	if in.Echo {
		text, err := typed.Marshal(in.input)
		return string(text), err
	}
	return "served", nil
}

// failure is an error, and what a caller learns of it at every door.
type failure struct {
	err       func() error
	want      problem.Error
	validates bool // Validate returns it
}

// plain is an error with a status and no more.
type plain int

func (plain) Error() string     { return secret }
func (p plain) StatusCode() int { return int(p) }

// own is the error of a package that says by a method what is public of it.
type own struct{ p *problem.Error }

func (own) Error() string             { return secret }
func (o own) Problem() *problem.Error { return o.p }

// returns is for errors that are not made anew.
func returns(err error) func() error { return func() error { return err } }

// hidden has more to it than a caller may know.
func hidden(err error) func() error {
	return func() error { return fmt.Errorf(secret+": %w", err) }
}

var (
	odd  = problem.Field{In: "body", Pointer: "/n", Detail: "is odd"}
	late = problem.Field{In: "query", Pointer: "/day", Detail: "is past"}
)

var failures = map[string]failure{
	"400": {
		err:  hidden(problem.BadRequest("Say it again.")),
		want: problem.Error{Status: 400, Detail: "Say it again."},
	},
	"401": {
		err:  hidden(problem.Unauthorized("Who are you?")),
		want: problem.Error{Status: 401, Detail: "Who are you?"},
	},
	"403": {
		err:  hidden(problem.Forbidden("Not you.")),
		want: problem.Error{Status: 403, Detail: "Not you."},
	},
	"404": {
		err:  hidden(problem.NotFound("No such order.")),
		want: problem.Error{Status: 404, Detail: "No such order."},
	},
	"408": {
		err:  hidden(problem.New(408, "Too slow.")),
		want: problem.Error{Status: 408, Detail: "Too slow."},
	},
	"409": {
		err:  hidden(problem.Conflict("Sold already.")),
		want: problem.Error{Status: 409, Detail: "Sold already."},
	},
	"410": {
		err:  hidden(problem.New(410, "Gone.")),
		want: problem.Error{Status: 410, Detail: "Gone."},
	},
	"413": {
		err:  hidden(problem.New(413, "Too much.")),
		want: problem.Error{Status: 413, Detail: "Too much."},
	},
	"415": {
		err:  hidden(problem.New(415, "Another form.")),
		want: problem.Error{Status: 415, Detail: "Another form."},
	},
	"418": {err: hidden(problem.New(418, "")), want: problem.Error{Status: 418}},
	"422": {
		err:  hidden(problem.New(422, "That cannot be.")),
		want: problem.Error{Status: 422, Detail: "That cannot be."},
	},
	"429": {
		err:  hidden(problem.TooManyRequests(0, "Slower.")),
		want: problem.Error{Status: 429, Detail: "Slower."},
	},
	"500": {
		err:  hidden(problem.New(500, "Our fault.")),
		want: problem.Error{Status: 500, Detail: "Our fault."},
	},
	"502": {
		err:  hidden(problem.New(502, "Their fault.")),
		want: problem.Error{Status: 502, Detail: "Their fault."},
	},
	"503": {
		err:  hidden(problem.Unavailable(0, "Later.")),
		want: problem.Error{Status: 503, Detail: "Later."},
	},
	"504": {
		err:  hidden(problem.New(504, "Nobody answered.")),
		want: problem.Error{Status: 504, Detail: "Nobody answered."},
	},
	"no status": {
		err:  hidden(problem.New(200, "Odd.")),
		want: problem.Error{Status: 500, Detail: "Odd."},
	},
	"bare": {err: returns(problem.Conflict("")), want: problem.Error{Status: 409}},
	"a code": {
		err:  hidden(&problem.Error{Status: 409, Code: "SOLD_OUT", Detail: "None left."}),
		want: problem.Error{Status: 409, Code: "SOLD_OUT", Detail: "None left."},
	},
	"a code alone": {
		err:  hidden(&problem.Error{Status: 402, Code: "PAY_FIRST"}),
		want: problem.Error{Status: 402, Code: "PAY_FIRST"},
	},
	"a wait": {
		err:  hidden(problem.TooManyRequests(1500*time.Millisecond, "")),
		want: problem.Error{Status: 429, RetryAfter: 1500 * time.Millisecond},
	},
	"a long wait": {
		err:  hidden(problem.Unavailable(time.Hour, "")),
		want: problem.Error{Status: 503, RetryAfter: time.Hour},
	},
	"one field": {
		err: hidden(problem.Invalid(odd)),
		want: problem.Error{
			Status: 422, Detail: "The request has invalid fields.",
			Fields: []problem.Field{odd},
		},
	},
	"fields of 409": {
		err:  hidden(&problem.Error{Status: 409, Fields: []problem.Field{odd, late}}),
		want: problem.Error{Status: 409, Fields: []problem.Field{odd, late}},
	},
	"a bare field": {
		err: hidden(odd),
		want: problem.Error{
			Status: 422, Detail: "The request has invalid fields.",
			Fields: []problem.Field{odd},
		},
	},
	"no place": {
		err: returns(problem.Field{Pointer: "/n", Detail: "is odd"}),
		want: problem.Error{
			Status: 422, Detail: "The request has invalid fields.",
			Fields: []problem.Field{odd},
		},
	},
	"joined fields": {
		err: returns(errors.Join(odd, errors.New(secret), late)),
		want: problem.Error{
			Status: 422, Detail: "The request has invalid fields.",
			Fields: []problem.Field{odd, late},
		},
	},
	"an extension": {
		err:  hidden(&problem.Error{Status: 409, Extensions: map[string]any{"left": 3}}),
		want: problem.Error{Status: 409, Extensions: map[string]any{"left": 3}},
	},
	"extensions": {
		err: hidden(&problem.Error{
			Status: 404, Detail: "No.",
			Extensions: map[string]any{"id": "a", "near": []string{"b", "c"}},
		}),
		want: problem.Error{
			Status: 404, Detail: "No.",
			Extensions: map[string]any{"id": "a", "near": []any{"b", "c"}},
		},
	},
	"large integers": {
		err: hidden(&problem.Error{
			Status:     409,
			Extensions: map[string]any{"id": int64(1<<53 + 1)},
		}),
		want: problem.Error{Status: 409, Extensions: map[string]any{"id": int64(1<<53 + 1)}},
	},
	"no JSON": {
		err: hidden(&problem.Error{
			Status: 409, Detail: "Odd.",
			Extensions: map[string]any{"f": func() {}, "x": 1},
		}),
		want: problem.Error{Status: 409, Detail: "Odd.", Extensions: map[string]any{"x": 1}},
	},
	"not UTF-8": {
		err:  hidden(problem.Conflict("Jos\xe9")),
		want: problem.Error{Status: 409, Detail: "Jos\ufffd"},
	},
	"all of it": {
		err: hidden(&problem.Error{
			Status: 409, Code: "C", Detail: "D",
			Fields: []problem.Field{odd}, RetryAfter: time.Second,
			Extensions: map[string]any{"x": 1}, Header: http.Header{"X-Own": {"1"}},
			Err: errors.New(secret),
		}),
		want: problem.Error{
			Status: 409, Code: "C", Detail: "D", Fields: []problem.Field{odd},
			RetryAfter: time.Second, Extensions: map[string]any{"x": 1},
		},
	},
	"twice wrapped": {
		err:  returns(fmt.Errorf("%s: %w", secret, fmt.Errorf("x: %w", problem.NotFound("No.")))),
		want: problem.Error{Status: 404, Detail: "No."},
	},
	"joined": {
		err:  returns(errors.Join(errors.New(secret), problem.NotFound("No."))),
		want: problem.Error{Status: 404, Detail: "No."},
	},
	"the first of two": {
		err:  returns(errors.Join(problem.NotFound("No."), problem.Conflict("Yes."))),
		want: problem.Error{Status: 404, Detail: "No."},
	},
	"of another": {
		err:  returns(own{problem.Conflict("Taken.")}),
		want: problem.Error{Status: 409, Detail: "Taken."},
	},
	"another's none": {err: returns(own{nil}), want: problem.Error{Status: 500}},
	"wsx": {
		err:  hidden(wsx.NewError(wsx.CodeNotFound, "no such order")),
		want: problem.Error{Status: 404, Code: wsx.CodeNotFound, Detail: "no such order"},
	},
	"wsx details": {
		err: hidden(&wsx.Error{
			Code: wsx.CodeConflict, Message: "taken",
			Details: map[string]any{"by": "ada"},
		}),
		want: problem.Error{
			Status: 409, Code: wsx.CodeConflict, Detail: "taken",
			Extensions: map[string]any{"by": "ada"},
		},
	},
	"wsx of its own": {
		err:  hidden(&wsx.Error{Code: "SOLD_OUT", Message: "none left", Err: plain(409)}),
		want: problem.Error{Status: 409, Code: "SOLD_OUT", Detail: "none left"},
	},
	"wsx without code": {
		err:  hidden(&wsx.Error{Message: secret}),
		want: problem.Error{Status: 500},
	},
	"plain":         {err: returns(errors.New(secret)), want: problem.Error{Status: 500}},
	"plain status":  {err: hidden(plain(409)), want: problem.Error{Status: 409}},
	"plain success": {err: hidden(plain(204)), want: problem.Error{Status: 500}},
	"deadline":      {err: hidden(context.DeadlineExceeded), want: problem.Error{Status: 504}},
	"panic":         {err: func() error { panic(secret) }, want: problem.Error{Status: 500}},
	"panic of a problem": {
		err:  func() error { panic(problem.NotFound(secret)) },
		want: problem.Error{Status: 500},
	},

	"validate plain": {
		validates: true, err: returns(errors.New(secret)),
		want: problem.Error{Status: 422, Detail: "The request is not valid."},
	},
	"validate status": {
		validates: true, err: returns(plain(409)),
		want: problem.Error{Status: 422, Detail: "The request is not valid."},
	},
	"validate field": {
		validates: true, err: hidden(odd),
		want: problem.Error{
			Status: 422, Detail: "The request has invalid fields.",
			Fields: []problem.Field{odd},
		},
	},
	"validate fields": {
		validates: true, err: returns(errors.Join(odd, errors.New(secret), odd)),
		want: problem.Error{
			Status: 422, Detail: "The request has invalid fields.",
			Fields: []problem.Field{odd, odd},
		},
	},
	"validate problem": {
		validates: true, err: hidden(problem.Conflict("Taken.")),
		want: problem.Error{Status: 409, Detail: "Taken."},
	},
	"validate wsx": {
		validates: true, err: hidden(wsx.NewError(wsx.CodeConflict, "taken")),
		want: problem.Error{Status: 409, Code: wsx.CodeConflict, Detail: "taken"},
	},
}

func TestDoors_TellTheSameOfEveryError(t *testing.T) {
	for _, d := range doors(t) {
		t.Run(d.name, func(t *testing.T) {
			if got := d.send(t, `{"return":""}`); got.result != `"served"` {
				t.Fatalf("%+v", got)
			}
			for name, f := range failures {
				got := d.send(t, fmt.Sprintf(`{"return":%q}`, name))
				if what := got.differs(&f.want); what != "" {
					t.Errorf("%s: %s: %d %s", name, what, got.status, got.raw)
				}
			}
		})
	}
}
