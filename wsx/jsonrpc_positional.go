package wsx

import (
	"encoding"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// positional is how an array of params is read as the In of a method, where that is no array
// itself: by the fields of a struct in the order of their declaration, or, when there are none, as
// the only value.
type positional struct {
	names []string
	only  bool
}

// maxEmbedded is how deep structs are embedded at most; a pointer to itself would have no end.
const maxEmbedded = 8

// positionalOf returns nil for a type that reads arrays by itself, or refuses them by itself.
func positionalOf(in reflect.Type) *positional {
	if in == nil {
		return nil
	}
	if in.Kind() == reflect.Pointer {
		in = in.Elem()
	}
	switch reflect.New(in).Interface().(type) {
	case json.Unmarshaler, json.UnmarshalerFrom:
		return nil
	case encoding.TextUnmarshaler:
		return &positional{only: true}
	}
	switch in.Kind() {
	case reflect.Struct:
		return &positional{names: fieldNames(nil, in, 0)}
	case reflect.Slice, reflect.Array, reflect.Map, reflect.Interface:
		return nil
	default:
		return &positional{only: true}
	}
}

// fieldNames appends the JSON names of a struct's fields, embedded ones where they stand. What
// json/v2 takes for a name is told from the tag; a registration with a malformed tag has been
// refused before.
func fieldNames(names []string, t reflect.Type, depth int) []string {
	for f := range t.Fields() {
		tag := f.Tag.Get("json")
		if tag == "-" || !f.IsExported() && !f.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if f.Anonymous && name == "" || slices.Contains(strings.Split(options, ","), "embed") {
			embedded := f.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			if embedded.Kind() == reflect.Struct && depth < maxEmbedded {
				names = fieldNames(names, embedded, depth+1)
			}
			continue // a map holds what has no field: no position either
		}
		if name == "" {
			name = f.Name
		}
		if !slices.Contains(names, name) { // else an outer field hides an embedded one
			names = append(names, name)
		}
	}
	return names
}

// position gives the params of a JSON-RPC request by name, if they are an array and the method
// wants names.
func (r *Request) position(m *method) error {
	p := m.positional
	if p == nil || len(r.Params) == 0 || r.Params[0] != '[' {
		return nil
	}
	most := len(p.names)
	if p.only {
		most = 1
	}
	n := 0
	out := []byte{'{'}
	for value := range wire.Elements(r.Params) {
		if n >= most {
			e := &Error{
				Code:    CodeInvalidParams,
				Message: "there are more params than the method has",
			}
			e.Details = paramsDetails{Path: "/" + strconv.Itoa(most)}
			return e
		}
		if p.only {
			out = value
		} else {
			if n > 0 {
				out = append(out, ',')
			}
			out, _ = jsontext.AppendQuote(out, p.names[n]) // a Go name
			out = append(append(out, ':'), value...)
		}
		n++
	}
	r.positional = p
	switch {
	case !p.only:
		out = append(out, '}')
		r.Params = out
	case n == 0:
		r.Params = nil
	default:
		r.Params = out
	}
	return nil
}

// repath makes details.path point into the array that the peer sent.
func (p *positional) repath(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	moved := *e
	switch details := e.Details.(type) {
	case paramsDetails:
		details.Path, details.Errors = p.moved(details.Path), p.movedFields(details.Errors)
		moved.Details = details
	case map[string]any: // of a problem
		fields, ok := details["errors"].([]problem.Field)
		if !ok {
			return err
		}
		details = maps.Clone(details)
		details["errors"] = p.movedFields(fields)
		moved.Details = details
	default:
		return err
	}
	return &moved
}

func (p *positional) movedFields(fields []problem.Field) []problem.Field {
	fields = slices.Clone(fields)
	for i := range fields {
		fields[i].Pointer = p.moved(fields[i].Pointer)
	}
	return fields
}

// moved is a path into the params by name as one into the array.
func (p *positional) moved(path string) string {
	if p.only {
		return "/0" + path
	}
	for i, name := range p.names {
		pointer := string(jsontext.Pointer("").AppendToken(name))
		if rest, ok := strings.CutPrefix(path, pointer); ok && (rest == "" || rest[0] == '/') {
			return "/" + strconv.Itoa(i) + rest
		}
	}
	return path
}
