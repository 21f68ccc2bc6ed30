package tasks

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// InputError says what is wrong with a payload. It is ErrInvalid, and its text is meant for whoever sent it.
type InputError struct {
	Path    jsontext.Pointer // where, as a JSON Pointer (RFC 6901); "" is the whole, or not known
	Message string
	Err     error // the cause, for the log; or nil
}

func (e *InputError) Error() string {
	if e.Path == "" {
		return "tasks: payload: " + e.Message
	}
	return "tasks: payload: " + string(e.Path) + ": " + e.Message
}

// Unwrap is ErrInvalid and the cause.
func (e *InputError) Unwrap() []error { return []error{ErrInvalid, e.Err} }

// StatusCode is 422, or the cause's own from 400 to 499.
func (e *InputError) StatusCode() int {
	if status := statusOf(e.Err); status >= 400 && status < 500 {
		return status
	}
	return statusOf(ErrInvalid)
}

type validator interface{ Validate() error }

// decodeInput reads and validates a payload that comes from outside: unknown members, names in another case, duplicates and invalid UTF-8 are refused. Nothing, or null, is the zero In.
func decodeInput[In any](payload jsontext.Value, in *In) error {
	if raw, ok := any(in).(*jsontext.Value); ok {
		if *raw = payload; len(payload) > 0 && !payload.IsValid() {
			return &InputError{Message: "not valid JSON"}
		}
	} else if len(payload) > 0 && string(payload) != "null" {
		if err := json.Unmarshal(payload, in, json.RejectUnknownMembers(true)); err != nil {
			return inputError(err)
		}
	}
	return validate(in)
}

// encodeInput validates in and makes it a payload.
func encodeInput[In any](in *In) (jsontext.Value, error) {
	if err := validate(in); err != nil {
		return nil, err
	}
	payload, err := encode(in)
	if err != nil {
		return nil, &InputError{Message: "it cannot be JSON", Err: err}
	}
	return payload, nil
}

func validate[In any](in *In) error {
	v, ok := any(in).(validator)
	if of := reflect.TypeFor[In](); of.Kind() == reflect.Pointer || of.Kind() == reflect.Interface { // whose pointer has no methods
		if v, ok = any(*in).(validator); !ok || reflect.ValueOf(in).Elem().IsNil() {
			return nil
		}
	}
	if !ok {
		return nil
	}
	if err := v.Validate(); err != nil {
		if own, ok := errors.AsType[*InputError](err); ok {
			return own
		}
		return &InputError{Message: err.Error(), Err: err}
	}
	return nil
}

// inputError says where a payload does not fit. The decoder's own text names Go types, and is for the log.
func inputError(err error) *InputError {
	e := &InputError{Message: "the value does not fit", Err: err}
	if s, ok := errors.AsType[*json.SemanticError](err); ok {
		e.Path = s.JSONPointer
	}
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		e.Path, e.Message = s.JSONPointer, "not valid JSON"
	}
	switch {
	case errors.Is(err, json.ErrUnknownName):
		e.Message = "there is no such member"
	case errors.Is(err, jsontext.ErrDuplicateName):
		e.Message = "the member occurs twice"
	}
	return e
}

// unfitError is a payload that a function cannot take, found when it was to run.
type unfitError struct{ error }

func (e *unfitError) Unwrap() error { return e.error }

// statusOf is the StatusCode of err, 0 when it has none.
func statusOf(err error) int {
	if coded, ok := errors.AsType[interface {
		error
		StatusCode() int
	}](err); ok {
		return coded.StatusCode()
	}
	return 0
}

// validName reports whether s may be the name of a task, a kind or a queue.
func validName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '.', c == ':', c == '@', c == '-':
		default:
			return false
		}
	}
	return true
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}
