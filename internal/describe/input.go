package describe

import (
	"encoding"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Input is what the tags of an input say of where its parts come from, as package asgi reads them.
type Input struct {
	Params []Param // those of a form too
	Body   []Media // what is not a parameter; nil is nothing
}

// InputOf takes an input apart: a struct, a pointer to one, or what comes from the body as a whole.
func InputOf(t reflect.Type) Input {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var w inputWalk
	if t.Kind() != reflect.Struct || decodesItself(t) {
		w.body = true
	} else {
		w.walk(t)
	}
	in := Input{Params: w.params}
	if w.body && !w.form { // a form has no JSON beside it
		body := Media{Type: "application/json", Of: []reflect.Type{t}}
		for _, p := range w.params {
			body.Without = append(body.Without, p.Member)
		}
		if body.Without != nil && t.Name() != "" {
			body.WithoutName = t.Name() + "Body"
		}
		in.Body = []Media{body}
	}
	return in
}

// HasBody reports whether something comes from a body, JSON or a form.
func (in *Input) HasBody() bool {
	return in.Body != nil ||
		slices.ContainsFunc(in.Params, func(p Param) bool { return p.In == "form" })
}

type inputWalk struct {
	// the structs that are taken apart, each once: a pointer may lead back to one
	seen   []reflect.Type
	params []Param
	body   bool
	form   bool
}

func (w *inputWalk) walk(t reflect.Type) {
	if slices.Contains(w.seen, t) {
		return
	}
	w.seen = append(w.seen, t)
	for f := range t.Fields() {
		jsonName, jsonOptions, _ := strings.Cut(f.Tag.Get("json"), ",")
		in, name := sourceOf(&f)
		switch {
		case in != "":
			w.add(&f, in, name, jsonName)
		case f.Anonymous && jsonName == "" || strings.Contains(jsonOptions, "embed"):
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct && !decodesItself(inner) {
				w.walk(inner)
			} else {
				w.body = true
			}
		case f.IsExported() && f.Tag.Get("json") != "-":
			w.body = true
		}
	}
}

func sourceOf(f *reflect.StructField) (in, name string) {
	for _, in := range [...]string{"path", "query", "header", "cookie", "form"} {
		if name := f.Tag.Get(in); name != "" {
			return in, name
		}
	}
	return "", ""
}

func (w *inputWalk) add(f *reflect.StructField, in, name, jsonName string) {
	w.form = w.form || in == "form"
	p := Param{
		In: in, Name: name, Required: in == "path", Member: jsonName, Type: f.Type,
		Default: f.Tag.Get("default"),
	}
	if in == "header" {
		p.Name = http.CanonicalHeaderKey(name)
	}
	if p.Member == "" {
		p.Member = f.Name
	}
	for p.Type.Kind() == reflect.Pointer {
		p.Type = p.Type.Elem()
	}
	if p.Type.Kind() == reflect.Slice && p.Type.Elem().Kind() != reflect.Uint8 &&
		!decodesItself(p.Type) {
		p.List, p.Type = true, p.Type.Elem()
		if p.Type.Kind() == reflect.Pointer {
			p.Type = p.Type.Elem()
		}
	}
	if p.Type.PkgPath() == module+"asgi" && p.Type.Name() == "FormFile" {
		p.File, p.Schema = true, jsontext.Value(fileSchema)
	}
	w.params = append(w.params, p)
}

// fileSchema is a file in a multipart form (OpenAPI 3.1 section 4.8.14.2).
const fileSchema = `{"type":"string","format":"binary",` +
	`"contentMediaType":"application/octet-stream"}`

// decodesItself reports whether t decodes by a method of its own.
func decodesItself(t reflect.Type) bool {
	for _, decoder := range [...]reflect.Type{
		reflect.TypeFor[json.UnmarshalerFrom](), reflect.TypeFor[json.Unmarshaler](),
		reflect.TypeFor[encoding.TextUnmarshaler](),
	} {
		if reflect.PointerTo(t).Implements(decoder) {
			return true
		}
	}
	return false
}
