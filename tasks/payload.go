package tasks

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
)

// validate asks what looks at inputs, v being a pointer to one. The error is an *InputError.
func (m *Manager) validate(ctx context.Context, v any) error {
	app := m.opts.Validator
	if app == nil {
		app = typed.Validator(ctx)
	}
	err := typed.Validate(app, v)
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*InputError](err); ok {
		return own
	}
	return &InputError{
		Message: err.Error(), Err: err,
		problem: typed.OfValidation(reflect.TypeOf(v), err),
	}
}

// encodeInput validates in, a pointer, and makes what it points to a payload.
func (m *Manager) encodeInput(ctx context.Context, in any) (jsontext.Value, error) {
	if err := m.validate(ctx, in); err != nil {
		return nil, err
	}
	payload, err := encode(in)
	if err != nil {
		e := &InputError{Message: "it cannot be JSON", Err: err}
		if s, ok := errors.AsType[*json.SemanticError](err); ok {
			e.Path = s.JSONPointer
		}
		return nil, e
	}
	return payload, nil
}

// decodeError is what is wrong with a payload by the decoder. The decoder's own text names Go
// types, and is for the log.
func decodeError(err error) *InputError {
	p := problem.From(err)
	e := &InputError{Message: p.Detail, Err: err, problem: p}
	if len(p.Fields) > 0 {
		e.Path, e.Message = jsontext.Pointer(p.Fields[0].Pointer), p.Fields[0].Detail
	}
	return e
}

// newInput compiles the payload of a kind, and panics for a type that can be none.
func newInput[In any](name string) *typed.Input {
	of := reflect.TypeFor[In]()
	in, err := typed.NewInput(of, typed.Strict)
	if err == nil {
		_, err = typed.NewOutput(of) // as Submit writes it
	}
	if err != nil {
		panic(fmt.Sprintf("tasks: kind %q: the payload: %v%s", name, err, wayOut))
	}
	return in
}

const wayOut = "; leave the member out (json:\"-\"), or use a type with methods for JSON or text"

// receive reads and validates a payload that comes from outside, and returns it as it is to be
// kept: with its defaults, where the type has some, as those of today.
func (k *kind) receive(ctx context.Context, m *Manager, payload jsontext.Value) (jsontext.Value,
	error,
) {
	v := reflect.New(k.In).Interface()
	if err := k.input.Decode(payload, v); err != nil {
		return nil, decodeError(err)
	}
	if err := m.validate(ctx, v); err != nil {
		return nil, err
	}
	if !k.input.HasDefaults() {
		return payload.Clone(), nil
	}
	kept, err := encode(v)
	if err == nil && len(kept) > m.opts.MaxPayload {
		err = tooLarge("payload with its defaults", len(kept), m.opts.MaxPayload)
	}
	return kept, err
}

// call decodes the payload, calls fn and encodes its result.
func call[In, Out any](ctx context.Context, input *typed.Input,
	fn func(context.Context, In) (Out, error), payload jsontext.Value,
) (jsontext.Value, error) {
	var in In
	if raw, ok := any(&in).(*jsontext.Value); ok {
		*raw = payload.Clone()
	} else if len(payload) > 0 {
		// Not strict: it was when the task was submitted, and a program that no longer knows a
		// member still does the work.
		if err := input.DecodeAgain(payload, &in); err != nil {
			return nil, &unfitError{err}
		}
	}
	out, err := fn(ctx, in)
	if err != nil {
		return nil, err
	}
	return encodeResult(&out)
}

// encodeResult encodes what a function returned. An error or a panic here is for good: the function
// has had its effects, and another run would have them again.
func encodeResult[Out any](out *Out) (result jsontext.Value, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &resultError{fmt.Errorf("to encode it panics: %v", v)}
		}
	}()
	if result, err = encode(out); err != nil {
		return nil, &resultError{err}
	}
	return result, nil
}

// encode is what v points to as JSON; nothing for a struct{}.
func encode(v any) (jsontext.Value, error) {
	switch v := v.(type) {
	case *struct{}:
		return nil, nil
	case *jsontext.Value:
		if *v == nil {
			return nil, nil
		}
		if !v.IsValid() {
			return nil, fmt.Errorf("%w: not JSON", ErrInvalid)
		}
		return v.Clone(), nil
	}
	return typed.Marshal(v)
}
