package typed

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/input"
	"github.com/genropy/genro-asgi-go/internal/schema"
)

// traits are what of a type needs an option of json/v2. Each option makes the decoder or encoder
// look up every type that it meets, so that only types with the trait have it.
type traits struct {
	any      bool // an interface
	duration bool
	enums    map[reflect.Type]*enum
}

func traitsOf(t reflect.Type) *traits {
	var found traits
	found.walk(t, make(map[reflect.Type]bool))
	return &found
}

func (f *traits) walk(t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	if values := schema.Enum(t); values != nil {
		if f.enums == nil {
			f.enums = make(map[reflect.Type]*enum)
		}
		f.enums[t] = newEnum(values)
	}
	switch t.Kind() {
	case reflect.Int64:
		f.duration = f.duration || t == durationType
	case reflect.Interface:
		f.any = true
	case reflect.Map:
		f.walk(t.Key(), seen)
		f.walk(t.Elem(), seen)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		f.walk(t.Elem(), seen)
	case reflect.Struct:
		for field := range t.Fields() {
			if field.Tag.Get("json") != "-" {
				f.walk(field.Type, seen)
			}
		}
	}
}

// decodeOptions are those for values of a type, with its enums or without.
func decodeOptions(t reflect.Type, enums bool) json.Options {
	found := traitsOf(t)
	var all []*json.Unmarshalers
	if found.any {
		all = append(all, input.ExactAny())
	}
	if found.duration {
		all = append(all, input.ReadDuration())
	}
	if enums && found.enums != nil {
		all = append(all, readEnums(found.enums))
	}
	if all == nil {
		return json.JoinOptions()
	}
	return json.WithUnmarshalers(json.JoinUnmarshalers(all...))
}

var withDurations = json.WithMarshalers(input.WriteDuration())

func encodeOptions(t reflect.Type) json.Options {
	if found := traitsOf(t); found.duration || found.any { // anything may be in an interface
		return withDurations
	}
	return json.JoinOptions()
}

// holdsAnything reports whether values of t are any JSON, null among them.
func holdsAnything(t reflect.Type) bool {
	return t == reflect.TypeFor[jsontext.Value]() || t.Kind() == reflect.Interface
}

// enum are the values that a type has.
type enum struct {
	values map[any]bool
	err    *enumError // says which they are
}

func newEnum(values []any) *enum {
	e := &enum{values: make(map[any]bool, len(values))}
	texts := make([]string, 0, len(values))
	for _, v := range values {
		e.values[v] = true
		text, err := json.Marshal(v)
		if err != nil {
			text = []byte(fmt.Sprint(v))
		}
		texts = append(texts, string(text))
	}
	e.err = &enumError{"must be one of " + strings.Join(texts, ", ")}
	return e
}

type enumError struct{ detail string }

func (e *enumError) Error() string { return e.detail }

// readEnums reads values of these types by their kind or their own methods, and looks whether they
// are among those that they may be.
func readEnums(enums map[reflect.Type]*enum) *json.Unmarshalers {
	return json.UnmarshalFromFunc(func(dec *jsontext.Decoder, v any) error {
		target := reflect.ValueOf(v).Elem()
		e := enums[target.Type()]
		if e == nil {
			return errors.ErrUnsupported
		}
		raw, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if err := json.Unmarshal(raw, v); err != nil {
			return err
		}
		if !e.values[target.Interface()] {
			return e.err
		}
		return nil
	})
}
