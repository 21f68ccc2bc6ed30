package wsx

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx/internal/handover"
)

// Handle registers fn as the method name of d. It is called for requests and, its result discarded,
// for notifications of that name. It panics when the name is invalid or taken, or when In or Out
// has a part that can be no JSON, such as a channel or an io.Reader, or wrong tags.
//
// Params are decoded into an In: a member that In lacks, one in another case, a duplicate or a
// value of another type is INVALID_PARAMS with details.path, a JSON Pointer (RFC 6901) into the
// params, and details.errors, which say what is wrong. Absent and null params are the zero In with
// the values of its default tags, and a nil pointer. In may be any type that json/v2 decodes, and a
// time.Duration, which is a text such as "1m30s"; a jsontext.Value gets the params as they are, its
// own copy. Of a type with a method Enum() []T, T the type itself, these values are taken.
//
// Once In is decoded, the validator looks at it ([Dispatcher.UseValidator]), if it is a struct, and
// then its method Validate() error, or that of the pointer to it, is called, also with a zero In
// but not with a nil pointer. A *[Error] that they return, alone or wrapped, is sent as it is, and
// so is what problem.Of finds, such as field errors joined by errors.Join; of any other error the
// peer is told that its params are not valid, and the text is for the log.
//
// The result is encoded by json/v2, and a time.Duration as it is read. An Out of struct{} means
// that there is none: null. A jsontext.Value is sent as it is. A result that cannot be encoded is
// an INTERNAL_ERROR.
//
// The error is sent as [Error] describes. The context ends with the request: on cancellation, at
// its deadline or with the connection. fn may be called by many goroutines at a time; a panic of it
// ends only its call.
func Handle[In, Out any](d *Dispatcher, name string,
	fn func(ctx context.Context, in In) (Out, error),
) {
	if fn == nil {
		panic(fmt.Sprintf("wsx: Handle(%q): nil function", name))
	}
	decode, encode := decoder[In](name), encoder[Out](name)
	d.add(&method{
		Method: Method{
			Name: name, Kind: "request", In: reflect.TypeFor[In](),
			Out: reflect.TypeFor[Out](),
		},
		handler: func(ctx context.Context, r *Request) error {
			var call struct { // one allocation for both
				in  In
				out Out
			}
			err := decode(ctx, r, &call.in)
			if err != nil {
				return err
			}
			if call.out, err = fn(ctx, call.in); err != nil || r.Notify {
				return err
			}
			return encode(&r.result, &call.out)
		},
	})
}

// HandleNotify registers fn as the notification name of d, with the params of [Handle]. Its error
// goes to the log and to no peer. When a peer sends a request of that name, it is answered: null,
// or the error.
func HandleNotify[In any](d *Dispatcher, name string, fn func(ctx context.Context, in In) error) {
	if fn == nil {
		panic(fmt.Sprintf("wsx: HandleNotify(%q): nil function", name))
	}
	decode := decoder[In](name)
	d.add(&method{
		Method: Method{Name: name, Kind: "notification", In: reflect.TypeFor[In]()},
		handler: func(ctx context.Context, r *Request) error {
			in := new(In)
			if err := decode(ctx, r, in); err != nil {
				return err
			}
			return fn(ctx, *in)
		},
	})
}

// decoder returns the function that reads the params of a request into an In and validates it. It
// panics for a type that no params can become: the peers would be told that their params are wrong.
func decoder[In any](name string) func(ctx context.Context, r *Request, in *In) error {
	input, err := typed.NewInput(reflect.TypeFor[In](), typed.Strict)
	if err != nil {
		panic(fmt.Sprintf("wsx: method %q: the params: %v", name, err))
	}
	return func(ctx context.Context, r *Request, in *In) error {
		if err := input.Decode(r.Params, in); err != nil {
			return invalidParams(err)
		}
		err := input.Validate(ctx, r.validator, in)
		if err == nil {
			return nil
		}
		if _, ok := errors.AsType[*Error](err); ok {
			return err
		}
		return ofProblem(typed.OfValidation(reflect.TypeFor[In](), err), err)
	}
}

// encoder returns the function that appends an Out as JSON. It panics for a type that no JSON can
// hold.
func encoder[Out any](name string) func(dst *appender, out *Out) error {
	switch any(new(Out)).(type) {
	case *struct{}:
		return func(dst *appender, _ *Out) error {
			dst.b = append(dst.b, "null"...)
			return nil
		}
	case *jsontext.Value:
		return func(dst *appender, out *Out) error {
			raw := *any(out).(*jsontext.Value)
			if raw == nil {
				raw = jsontext.Value("null")
			}
			if !raw.IsValid() {
				return errors.New("wsx: the result is not JSON")
			}
			_, err := dst.Write(raw)
			return err
		}
	}
	output, err := typed.NewOutput(reflect.TypeFor[Out]())
	if err != nil {
		panic(fmt.Sprintf("wsx: method %q: the result: %v", name, err))
	}
	return func(dst *appender, out *Out) error {
		if err := dst.expect(); err != nil {
			return err
		}
		if err := output.Write(dst, out); err != nil {
			return fmt.Errorf("wsx: encode the result: %w", err)
		}
		return nil
	}
}

// paramsDetails say where params do not fit.
type paramsDetails struct {
	Path   string          `json:"path"` // of the first of errors
	Errors []problem.Field `json:"errors,omitempty"`
}

// invalidParams is what a peer is told of params that do not decode. The decoder's own text, which
// quotes the input and names Go types, is for the log.
func invalidParams(err error) *Error {
	e := &Error{Code: CodeInvalidParams, Message: "the params do not fit the method", Err: err}
	var details paramsDetails
	if p := problem.Of(err); p != nil && len(p.Fields) > 0 {
		e.Message, details.Path, details.Errors = p.Detail, p.Fields[0].Pointer, p.Fields
	} else if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		// such as half of a surrogate pair
		details.Path = string(s.JSONPointer)
	}
	e.Details = details
	return e
}

// pace is what is known of a method's speed, and of the size of what it answers.
type pace struct {
	handover.Pace
	size atomic.Int64 // of its large answers of late, in bytes; 0 when they have been small
}

// large learns of an answer that is large.
func (p *pace) large(n int) {
	if int64(n) > p.size.Load() {
		p.size.Store(int64(n))
	}
}

// small learns of an answer that is not.
func (p *pace) small() {
	if n := p.size.Load(); n > 0 {
		p.size.Store(n - n/8 - 1)
	}
}

// appender is an io.Writer to the end of a slice. Where it belongs to a call, what is large waits
// for room.
type appender struct {
	b    []byte
	call *call // may be nil
}

func (a *appender) Write(p []byte) (int, error) {
	if n := len(a.b) + len(p); n > smallAnswer {
		if a.call != nil {
			a.call.method.pace.large(n)
			if err := a.call.reserveAnswer(n); err != nil {
				return 0, err
			}
		}
		if n > cap(a.b) {
			a.b = slices.Grow(a.b, max(len(p), len(a.b)))
		}
	}
	a.b = append(a.b, p...)
	return len(p), nil
}

// expect makes room for as much as the method's answers have been of late: the encoder has a buffer
// of its own, and a value may fill it before a byte of it is written.
func (a *appender) expect() error {
	if a.call == nil {
		return nil
	}
	if n := int(a.call.method.pace.size.Load()); n > smallAnswer {
		return a.call.reserveAnswer(n)
	}
	return nil
}
