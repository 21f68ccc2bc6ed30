package typed

import (
	"context"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/schema"
)

// Members says what becomes of members that a type lacks.
type Members bool

// The ways.
const (
	Strict  Members = false // they are refused
	Lenient Members = true  // they are dropped
)

// Input is how values of one type are read. It is safe for concurrent use.
type Input struct {
	options  json.Options
	again    json.Options // those of DecodeAgain
	defaults []defaultValue
	pointer  bool // the type is a pointer
	skipNull bool // null is nothing, else the type may make something of it
	own      bool // it has Validate
	app      bool // it is a struct or a pointer to one: what an app's validator looks at
}

// NewInput compiles the input for a type. The error names the type and what of it cannot be.
func NewInput(t reflect.Type, members Members) (*Input, error) {
	if err := schema.Check(t, schema.Decode); err != nil {
		return nil, fmt.Errorf("%v: %w", t, err)
	}
	in := &Input{
		options: decodeOptions(t, true), again: decodeOptions(t, false),
		pointer:  t.Kind() == reflect.Pointer,
		skipNull: !holdsAnything(t) && !DecodesItself(t),
	}
	if members == Strict {
		in.options = json.JoinOptions(in.options, json.RejectUnknownMembers(true))
	}
	elem := t
	if in.pointer {
		elem = t.Elem()
	}
	var err error
	if in.defaults, err = defaultsOf(elem); err != nil {
		return nil, fmt.Errorf("%v: %w", t, err)
	}
	in.app = elem.Kind() == reflect.Struct
	validator := reflect.TypeFor[validator]()
	in.own = t.Implements(validator) || t.Kind() != reflect.Interface &&
		reflect.PointerTo(t).Implements(validator)
	if t.Kind() == reflect.Interface {
		in.own, in.app = true, true // what is in it is known later
	}
	return in, nil
}

// Absent makes what v points to what it is without an input: zero, with its defaults.
func (in *Input) Absent(v any) {
	if in.defaults != nil && !in.pointer {
		setDefaults(reflect.ValueOf(v).Elem(), in.defaults)
	}
}

// Decode reads data into what v, a pointer to a value of the type, points to, which is zero before.
// No data at all is as null. The error is a *problem.Error.
func (in *Input) Decode(data []byte, v any) error {
	if len(data) == 0 || in.skipNull && string(data) == "null" {
		in.Absent(v)
		return nil
	}
	if in.defaults != nil {
		target := reflect.ValueOf(v).Elem()
		if in.pointer {
			target.Set(reflect.New(target.Type().Elem()))
			target = target.Elem()
		}
		setDefaults(target, in.defaults)
	}
	if err := json.Unmarshal(data, v, in.options); err != nil {
		return decodeError(err)
	}
	return nil
}

// DecodeAgain reads what was decoded and encoded before, maybe by another version of the program:
// members that the type no longer has are dropped, and an enum has whatever value it had, such as
// that of a member that was missing. Zero values of types with methods for JSON or text must
// decode.
func (in *Input) DecodeAgain(data []byte, v any) error {
	return json.Unmarshal(data, v, in.again)
}

// HasDefaults reports whether a member that is missing may be something else than zero.
func (in *Input) HasDefaults() bool { return in.defaults != nil }

// Validates reports whether the type has a method that may refuse a value.
func (in *Input) Validates() bool { return in.own }

type validator interface{ Validate() error }

// Validate asks the validator of the app and the method Validate() error of the type, where it has
// one. With a nil app it is the one that ctx has ([WithValidator]), if any. A nil pointer is not
// asked about. v is as in Decode. The error is theirs.
func (in *Input) Validate(ctx context.Context, app func(any) error, v any) error {
	switch {
	case !in.app:
		app = nil
	case app == nil:
		app = Validator(ctx)
	}
	if !in.own && app == nil {
		return nil
	}
	return Validate(app, v)
}

// Validate asks the validator of the app, where app is one and v points to a struct, and then the
// method Validate() error of what v points to, where it has one. A nil pointer in there is not
// asked about. The error is theirs.
func Validate(app func(any) error, v any) error {
	for target := reflect.ValueOf(v); target.Kind() == reflect.Pointer; {
		if target = target.Elem(); target.Kind() != reflect.Pointer &&
			target.Kind() != reflect.Interface {
			break
		}
		if target.IsNil() {
			return nil
		}
		v = target.Interface()
		target = reflect.ValueOf(v)
	}
	if app != nil && isStruct(reflect.TypeOf(v)) {
		if err := app(v); err != nil {
			return err
		}
	}
	if own, ok := v.(validator); ok {
		return own.Validate()
	}
	return nil
}

func isStruct(t reflect.Type) bool {
	return t != nil && t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct
}

// CheckReadable says what of a type could be written but not read again.
func CheckReadable(t reflect.Type) error {
	if err := schema.Check(t, schema.Decode); err != nil {
		return fmt.Errorf("%v: %w", t, err)
	}
	return nil
}

type validatorKey struct{}

// WithValidator sets the validator of the app for what is served with the context.
func WithValidator(ctx context.Context, app func(v any) error) context.Context {
	return context.WithValue(ctx, validatorKey{}, app)
}

// Validator is the app's in the context, nil where there is none.
func Validator(ctx context.Context) func(v any) error {
	app, _ := ctx.Value(validatorKey{}).(func(v any) error)
	return app
}
