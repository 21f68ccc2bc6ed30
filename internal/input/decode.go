package input

import (
	"errors"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ExactAny is an option of json.Unmarshal under which an integer in an any keeps its value: what a
// float64 would change becomes an int64, a uint64 or, where neither holds it, a jsontext.Value. All
// other numbers are a float64, as ever. With it, the decoder looks up each type.
func ExactAny() *json.Unmarshalers { return exactAny }

var exactAny = json.UnmarshalFromFunc(func(dec *jsontext.Decoder, v *any) error {
	if dec.PeekKind() != jsontext.KindNumber {
		return errors.ErrUnsupported // the package's own way
	}
	raw, err := dec.ReadValue()
	if err != nil {
		return err
	}
	*v, err = number(string(raw))
	return err
})

func number(text string) (any, error) {
	const exact = 1 << 53 // up to here a float64 holds every integer
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && (n > exact || n < -exact) {
			return n, nil
		} else if errors.Is(err, strconv.ErrRange) {
			if n, err := strconv.ParseUint(text, 10, 64); err == nil {
				return n, nil
			}
			return jsontext.Value(text), nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, strconv.ErrRange // JSON's grammar is that of ParseFloat and less
	}
	return f, nil
}
