package wsx

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// decodeOptions are how params are read. That names match in exact case and occur once is what json/v2 does by itself.
var decodeOptions = []json.Options{json.RejectUnknownMembers(true)}

// validator is what a params type may implement.
type validator interface{ Validate() error }

// Handle registers fn as the method name of d. It is called for requests and, its result discarded, for
// notifications of that name. It panics when the name is invalid or taken or In is a struct whose JSON tags are wrong.
//
// Params are decoded into an In: a member that In lacks, one in another case, a duplicate or a value of another type
// is INVALID_PARAMS with details.path, a JSON Pointer (RFC 6901) into the params. Absent and null params are the zero
// In, so a pointer In is nil then. In may be any type that json/v2 decodes; a jsontext.Value gets the params as they
// are, its own copy.
//
// If In, or a pointer to it, has a method Validate() error, it is called after decoding, also with a zero In but not
// with a nil pointer. A *[Error] that it returns, alone or wrapped, is sent as it is; of any other error the text is
// sent as INVALID_PARAMS: what Validate says is meant for the caller.
//
// The result is encoded by json/v2. An Out of struct{} means that there is none: null. A jsontext.Value is sent as it
// is. A result that cannot be encoded is an INTERNAL_ERROR.
//
// The error is sent as [Error] describes. The context ends with the request: on cancellation, at its deadline or with
// the connection. fn may be called by many goroutines at a time; a panic of it ends only its call.
func Handle[In, Out any](d *Dispatcher, name string, fn func(ctx context.Context, in In) (Out, error)) {
	if fn == nil {
		panic(fmt.Sprintf("wsx: Handle(%q): nil function", name))
	}
	decode, encode := decoder[In](name), encoder[Out]()
	d.add(&method{
		Method: Method{Name: name, Kind: "request", In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out]()},
		handler: func(ctx context.Context, r *Request) error {
			var call struct { // one allocation for both
				in  In
				out Out
			}
			err := decode(r.Params, &call.in)
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

// HandleNotify registers fn as the notification name of d, with the params of [Handle]. Its error goes to the log and
// to no peer. When a peer sends a request of that name, it is answered: null, or the error.
func HandleNotify[In any](d *Dispatcher, name string, fn func(ctx context.Context, in In) error) {
	if fn == nil {
		panic(fmt.Sprintf("wsx: HandleNotify(%q): nil function", name))
	}
	decode := decoder[In](name)
	d.add(&method{
		Method: Method{Name: name, Kind: "notification", In: reflect.TypeFor[In]()},
		handler: func(ctx context.Context, r *Request) error {
			in := new(In)
			if err := decode(r.Params, in); err != nil {
				return err
			}
			return fn(ctx, *in)
		},
	})
}

// decoder returns the function that reads params into an In and validates it. It panics for a struct type whose JSON
// tags are wrong: the peers would be told that their params are.
func decoder[In any](name string) func(params []byte, in *In) error {
	if reflect.TypeFor[In]().Kind() == reflect.Struct {
		switch any(new(In)).(type) {
		case json.Unmarshaler, json.UnmarshalerFrom, encoding.TextUnmarshaler: // their own affair
		default:
			if err := json.Unmarshal([]byte("{}"), new(In)); err != nil {
				panic(fmt.Sprintf("wsx: method %q: no params can be read as %v: %v", name, reflect.TypeFor[In](), err))
			}
		}
	}
	validate := func(*In) error { return nil }
	switch reflect.TypeFor[In]().Kind() {
	case reflect.Pointer, reflect.Interface:
		validate = func(in *In) error {
			if v, ok := any(*in).(validator); ok && !reflect.ValueOf(*in).IsZero() {
				return v.Validate()
			}
			return nil
		}
	default:
		if _, ok := any(new(In)).(validator); ok {
			validate = func(in *In) error { return any(in).(validator).Validate() }
		}
	}
	_, raw := any(new(In)).(*jsontext.Value)
	return func(params []byte, in *In) error {
		if params != nil && (raw || string(params) != "null") {
			if err := json.Unmarshal(params, in, decodeOptions...); err != nil {
				return invalidParams(err)
			}
		}
		err := validate(in)
		if err == nil {
			return nil
		}
		if _, ok := errors.AsType[*Error](err); ok {
			return err
		}
		return &Error{Code: CodeInvalidParams, Message: err.Error(), Err: err}
	}
}

// encoder returns the function that appends an Out as JSON.
func encoder[Out any]() func(dst *appender, out *Out) error {
	switch any(new(Out)).(type) {
	case *struct{}:
		return func(dst *appender, _ *Out) error {
			*dst = append(*dst, "null"...)
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
			*dst = append(*dst, raw...)
			return nil
		}
	}
	return func(dst *appender, out *Out) error {
		if err := json.MarshalWrite(dst, out); err != nil {
			return fmt.Errorf("wsx: encode the result: %w", err)
		}
		return nil
	}
}

type pathDetails struct {
	Path string `json:"path"`
}

// invalidParams says where params do not fit. The decoder's own text, which quotes the input and names Go types, is
// for the log.
func invalidParams(err error) *Error {
	e := &Error{Code: CodeInvalidParams, Message: "the value does not fit the method's params", Err: err}
	var path jsontext.Pointer
	if s, ok := errors.AsType[*json.SemanticError](err); ok {
		path = s.JSONPointer
	}
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		path = s.JSONPointer
	}
	switch {
	case errors.Is(err, json.ErrUnknownName):
		e.Message = "the params have no such member"
	case errors.Is(err, jsontext.ErrDuplicateName):
		e.Message = "the member occurs twice"
	}
	e.Details = pathDetails{Path: string(path)}
	return e
}

// details is Details as JSON, nil when there are none or they cannot be encoded.
func (e *Error) details() (encoded []byte, err error) {
	if e.Details == nil {
		return nil, nil
	}
	defer func() {
		if v := recover(); v != nil {
			encoded, err = nil, fmt.Errorf("wsx: encode the error's details: panic: %v", v)
		}
	}()
	if encoded, err = json.Marshal(e.Details); err != nil {
		return nil, fmt.Errorf("wsx: encode the error's details: %w", err)
	}
	return encoded, nil
}
