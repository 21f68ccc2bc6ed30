package wsxtest

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/canonical"
)

// number is a JSON number as it is written: a float64 would make one of two 64-bit identifiers.
type number string

// MarshalJSONTo writes it as it was.
func (n number) MarshalJSONTo(enc *jsontext.Encoder) error {
	return enc.WriteValue(jsontext.Value(n))
}

func (n number) integer() bool {
	return !strings.Contains(canonical.Number(string(n)), "e-")
}

// numbers reads the numbers of a value of no type.
var numbers = json.WithUnmarshalers(
	json.UnmarshalFromFunc(func(dec *jsontext.Decoder, v *any) error {
		if dec.PeekKind() != '0' {
			return errors.ErrUnsupported // as for any other value
		}
		raw, err := dec.ReadValue()
		*v = number(raw)
		return err
	}))

// parse reads a value. Duplicate names and text that is not UTF-8 are refused.
func parse(raw []byte) (v any, err error) {
	err = json.Unmarshal(raw, &v, numbers)
	return v, err
}

// same reports whether two values that parse returned are the same.
func same(a, b any) bool {
	switch a := a.(type) {
	case number:
		b, ok := b.(number)
		return ok && canonical.Number(string(a)) == canonical.Number(string(b))
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, same)
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, same)
	}
	return a == b
}
