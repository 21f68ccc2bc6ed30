package typed

import (
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/problem"
)

// OfValidation is problem.OfValidation for an input of type t, or a pointer to one, that came as
// one JSON value. A validator and a Validate method call a field by its tag of HTTP, as they cannot
// know the door: {In: "query", Pointer: "/limit"}. Here it is the member of the body that it came
// as.
func OfValidation(t reflect.Type, err error) *problem.Error {
	e := problem.OfValidation(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct ||
		!slices.ContainsFunc(e.Fields,
			func(f problem.Field) bool { return f.In != "" && f.In != "body" }) {
		return e
	}
	moved := *e
	moved.Fields = slices.Clone(e.Fields)
	for i := range moved.Fields {
		f := &moved.Fields[i]
		name, rest, _ := strings.Cut(strings.TrimPrefix(f.Pointer, "/"), "/")
		if member, ok := memberOf(t, f.In, name, nil); ok {
			f.In, f.Pointer = "body", string(jsontext.Pointer("").AppendToken(member))
			if rest != "" {
				f.Pointer += "/" + rest
			}
		}
	}
	return &moved
}

// memberOf is the JSON name of the field of t, or of a struct embedded in it, with a tag such as
// query:"limit", whose name is escaped as a token of a JSON Pointer.
func memberOf(t reflect.Type, tag, name string, above []reflect.Type) (member string, ok bool) {
	for f := range t.Fields() {
		jsonName, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if value := f.Tag.Get(tag); value != "" {
			if tag == "header" {
				value, name = http.CanonicalHeaderKey(value), http.CanonicalHeaderKey(name)
			}
			if jsontext.Pointer("").AppendToken(value) != jsontext.Pointer("/"+name) ||
				jsonName == "-" {
				continue
			}
			if jsonName == "" {
				jsonName = f.Name
			}
			return jsonName, true
		}
		if !f.Anonymous || jsonName != "" {
			continue
		}
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && !slices.Contains(above, inner) {
			if member, ok := memberOf(inner, tag, name, append(above, t)); ok {
				return member, true
			}
		}
	}
	return "", false
}
