package asgi

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
)

// binder fills values of one type from requests. It is made once, at registration, and then only
// read.
type binder struct {
	fields []boundField
	above  []reflect.Type // the structs that compile is in
	body   bool           // something comes from the JSON body
	form   bool           // something comes from a form, and nothing from a JSON body
	input  *typed.Input
	decode func(body []byte, v any) error // input's
}

// boundField is a field that does not come from the body.
type boundField struct {
	in       string // "path", "query", "header", "cookie" or "form"
	name     string
	index    []int
	set      typed.Setter  // nil for files
	empty    bool          // an empty text is a value of it
	list     bool          // the field is a slice, and set is for its elements
	fallback reflect.Value // what it has by its default tag, else not valid
	text     string        // of that tag
	pointer  string        // in what in names
	member   string        // where the body would have it
}

var sources = [...]string{"path", "query", "header", "cookie", "form"}

// newBinder compiles the binder of t. A type that cannot be filled is a mistake of the program: it
// panics.
func newBinder(t reflect.Type, members typed.Members) *binder {
	b := &binder{}
	if t.Kind() != reflect.Struct || typed.DecodesItself(t) {
		b.body = true
	} else {
		b.compile(t, t, nil)
	}
	var err error
	if b.input, err = typed.NewInput(t, members); err != nil {
		panic(fmt.Sprintf("asgi: Handle: %v", err))
	}
	b.decode = b.input.Decode
	if b.form && b.body {
		panic(
			fmt.Sprintf(
				"asgi: Handle: %v: a request has either a form or a JSON body: a field without a "+
					"tag needs one, or json:\"-\"", t))
	}
	return b
}

func (b *binder) compile(root, t reflect.Type, index []int) {
	if slices.Contains(b.above, t) {
		return // of a pointer that leads back: it has no fields of its own
	}
	b.above = append(b.above, t)
	defer func() { b.above = b.above[:len(b.above)-1] }()
	for f := range t.Fields() {
		at := slices.Concat(index, f.Index)
		fail := func(format string, args ...any) {
			panic(fmt.Sprintf("asgi: Handle: %v: field %s: %s", root, f.Name,
				fmt.Sprintf(format, args...)))
		}
		in, name := sourceOf(f, fail)
		jsonName, jsonOptions, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case in != "":
			if !f.IsExported() {
				fail("it is not exported and cannot be set")
			}
			b.add(f, at, in, name, jsonName, fail)
		case f.Anonymous && jsonName == "" || strings.Contains(jsonOptions, "embed"):
			inner := f.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
				if !f.IsExported() {
					fail("a pointer to an embedded struct must be exported")
				}
			}
			if inner.Kind() == reflect.Struct && !typed.DecodesItself(inner) {
				b.compile(root, inner, at)
			} else if jsonName != "-" {
				b.body = true
			}
		case f.IsExported() && f.Tag.Get("json") != "-":
			b.body = true
		}
	}
}

func sourceOf(f reflect.StructField, fail func(string, ...any)) (in, name string) {
	for _, source := range sources {
		value, ok := f.Tag.Lookup(source)
		if !ok {
			continue
		}
		if in != "" {
			fail("it has both a %s and a %s tag", in, source)
		}
		if value == "" {
			fail("its %s tag has no name", source)
		}
		in, name = source, value
	}
	return in, name
}

func (b *binder) add(f reflect.StructField, index []int, in, name, jsonName string,
	fail func(string, ...any),
) {
	if in == "header" {
		name = http.CanonicalHeaderKey(name)
	}
	for _, other := range b.fields {
		if other.in == in && other.name == name {
			fail("another field has the same %s tag", in)
		}
	}
	if jsonName == "" {
		jsonName = f.Name
	}
	bound := boundField{
		in: in, name: name, index: index, set: typed.NewSetter(f.Type),
		empty:    in == "path" || typed.IsText(f.Type),
		fallback: typed.Default(&f), text: f.Tag.Get("default"), pointer: typed.Pointer(name),
		member: typed.Pointer(jsonName),
	}
	file := in == "form" && (f.Type == fileType || f.Type == filesType)
	if bound.set == nil && f.Type.Kind() == reflect.Slice &&
		f.Type.Elem().Kind() != reflect.Uint8 && in != "path" && in != "cookie" {
		bound.list = true
		bound.set = typed.NewSetter(f.Type.Elem())
		bound.empty = typed.IsText(f.Type.Elem())
	}
	switch {
	case file:
		bound.set, bound.list = nil, f.Type == filesType
	case bound.set == nil:
		fail("a %v cannot come from a %s", f.Type, in)
	}
	b.form = b.form || in == "form"
	b.fields = append(b.fields, bound)
}

// bind fills what v points to.
func (b *binder) bind(r *Request, v any) error {
	var err error
	switch {
	case b.body:
		err = r.decodeJSON(v, b.decode, r.mayLackBody())
	case b.form:
		err = r.loadForm()
		b.input.Absent(v)
	default:
		err = r.readAhead(true)
		b.input.Absent(v)
	}
	if err != nil {
		return err
	}
	if len(b.fields) > 0 {
		if err := b.bindFields(r, reflect.ValueOf(v).Elem()); err != nil {
			return err
		}
	}
	if err := b.input.Validate(r.http.Context(), nil, v); err != nil {
		return problem.OfValidation(err)
	}
	return nil
}

// mayLackBody reports a method that gives a body no meaning by itself (RFC 9110 section 9.3).
func (r *Request) mayLackBody() bool {
	switch r.http.Method {
	case http.MethodGet, http.MethodHead, http.MethodDelete:
		return true
	}
	return false
}

func (b *binder) bindFields(r *Request, v reflect.Value) error {
	var wrong []FieldError
	for i := range b.fields {
		f := &b.fields[i]
		field := fieldAt(v, f.index)
		if b.body && !f.untouched(field) {
			wrong = append(wrong,
				FieldError{Pointer: f.member, Detail: "is not part of the body but of the " + f.in})
			continue
		}
		detail, at, err := f.fill(r, field)
		if err != nil {
			return err
		}
		if detail != "" {
			wrong = append(wrong, FieldError{In: f.in, Pointer: f.pointer + at, Detail: detail})
		}
	}
	if wrong != nil {
		return problem.Invalid(wrong...)
	}
	return nil
}

// untouched reports whether a field is what it was before the body was decoded.
func (f *boundField) untouched(field reflect.Value) bool {
	if f.fallback.IsValid() {
		return reflect.DeepEqual(field.Interface(), f.fallback.Interface())
	}
	return field.IsZero()
}

// fieldAt is the field at an index path; embedded pointers on the way are made.
func fieldAt(v reflect.Value, index []int) reflect.Value {
	for i, x := range index {
		if i > 0 && v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(x)
	}
	return v
}

// fill sets the field, if the request has it. detail says what is wrong for the client; at is the
// JSON Pointer of the element at fault within a list.
func (f *boundField) fill(r *Request, field reflect.Value) (detail, at string, err error) {
	switch {
	case f.set == nil:
		return f.fillFiles(r, field), "", nil
	case f.list:
		return f.fillList(r, field)
	}
	var text string
	n := 1
	switch f.in {
	case "path":
		text = r.http.PathValue(f.name)
	case "query":
		q := r.Query()
		if text, n = q.first(f.name); q.err != nil {
			return "", "", q.err
		}
	case "form":
		text, n = r.form.first(f.name)
	case "header":
		values := r.header(f.name)
		if n = len(values); n == 1 {
			text = values[0]
		}
	case "cookie":
		var ok bool
		if text, ok = r.Cookie(f.name); !ok {
			n = 0
		}
	}
	switch n {
	case 0:
		return "", "", nil
	case 1:
		if text == "" && !f.empty {
			return "", "", nil // what a form sends for a field that was left empty
		}
		return f.set(field, text), "", nil
	}
	return typed.GivenTwice, "", nil
}

func (f *boundField) fillList(r *Request, field reflect.Value) (detail, at string, err error) {
	var texts []string
	switch f.in {
	case "header":
		texts = r.Headers().List(f.name)
	case "form":
		texts = r.form.Values(f.name)
	default:
		q := r.Query()
		if texts = q.Values(f.name); q.err != nil {
			return "", "", q.err
		}
	}
	if !f.empty {
		texts = slices.DeleteFunc(texts, func(text string) bool { return text == "" })
	}
	if len(texts) == 0 {
		return "", "", nil
	}
	list := reflect.MakeSlice(field.Type(), len(texts), len(texts))
	for i, text := range texts {
		if detail := f.set(list.Index(i), text); detail != "" {
			return detail, fmt.Sprintf("/%d", i), nil
		}
	}
	field.Set(list)
	return "", "", nil
}

var (
	fileType  = reflect.TypeFor[*FormFile]()
	filesType = reflect.TypeFor[[]*FormFile]()
)

// fillFiles sets the uploaded file, or all of them.
func (f *boundField) fillFiles(r *Request, field reflect.Value) (detail string) {
	files := r.form.Files[f.name]
	switch {
	case f.list:
		field.Set(reflect.ValueOf(files))
	case len(files) > 1:
		return typed.GivenTwice
	case len(files) == 1:
		field.Set(reflect.ValueOf(files[0]))
	case r.form.Has(f.name):
		return "must be a file"
	}
	return ""
}
