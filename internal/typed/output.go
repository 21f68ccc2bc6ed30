package typed

import (
	"fmt"
	"io"
	"reflect"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/schema"
)

// Output is how values of one type are written. It is safe for concurrent use.
type Output struct{ options json.Options }

// NewOutput compiles the output for a type. The error names the type and what of it cannot be.
func NewOutput(t reflect.Type) (*Output, error) {
	if err := schema.Check(t, schema.Encode); err != nil {
		return nil, fmt.Errorf("%v: %w", t, err)
	}
	return &Output{encodeOptions(t)}, nil
}

// Write writes what v, a pointer to a value of the type, points to.
func (out *Output) Write(w io.Writer, v any) error { return json.MarshalWrite(w, v, out.options) }

// known are the options for types that nobody registered: a *pair for each reflect.Type.
var known sync.Map

type pair struct{ loose, strict json.Options }

func optionsFor(v any) *pair {
	t := reflect.TypeOf(v)
	if t == nil {
		return &pair{}
	}
	if options, ok := known.Load(t); ok {
		return options.(*pair)
	}
	elem := t
	for elem.Kind() == reflect.Pointer && elem.Name() == "" {
		elem = elem.Elem()
	}
	loose := json.JoinOptions(decodeOptions(elem, false), encodeOptions(elem))
	options, _ := known.LoadOrStore(t,
		&pair{
			loose,
			json.JoinOptions(loose, decodeOptions(elem, true), json.RejectUnknownMembers(true)),
		})
	return options.(*pair)
}

// Marshal is json.Marshal for a value of any type, as an Output of its type writes it.
func Marshal(v any, options ...json.Options) ([]byte, error) {
	known := optionsFor(v).loose
	if options == nil { // to join any allocates
		return json.Marshal(v, known)
	}
	return json.Marshal(v, known, json.JoinOptions(options...))
}

// MarshalWrite is json.MarshalWrite for a value of any type, as an Output of its type writes it.
func MarshalWrite(w io.Writer, v any) error { return json.MarshalWrite(w, v, optionsFor(v).loose) }

// Unmarshal reads what a peer or a store wrote by an Output into what v points to: as a lenient
// Input of that type does, without defaults, and with whatever value an enum has there. The error
// is json/v2's.
func Unmarshal(data []byte, v any, options ...json.Options) error {
	known := optionsFor(v).loose
	if options == nil {
		return json.Unmarshal(data, v, known)
	}
	return json.Unmarshal(data, v, known, json.JoinOptions(options...))
}

// Decode reads into what v points to as a strict Input of that type does, without defaults. The
// error is a *problem.Error.
func Decode(data []byte, v any) error {
	if err := json.Unmarshal(data, v, optionsFor(v).strict); err != nil {
		return decodeError(err)
	}
	return nil
}
