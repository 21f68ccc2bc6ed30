package asgi

import (
	"encoding"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// binder fills values of one type from requests. It is made once, at registration, and then only read.
type binder struct {
	fields   []boundField
	body     bool // something comes from the JSON body
	validate bool // the type or the pointer to it has Validate
}

// boundField is a field that does not come from the body.
type boundField struct {
	in      string // "path", "query", "header" or "cookie"
	name    string
	index   []int
	set     setter
	list    bool   // the field is a slice, and set is for its elements
	pointer string // in what in names
	member  string // where the body would have it
}

var sources = [...]string{"path", "query", "header", "cookie"}

// newBinder compiles the binder of t. A type that cannot be filled is a mistake of the program: it panics.
func newBinder(t reflect.Type) *binder {
	b := &binder{validate: reflect.PointerTo(t).Implements(reflect.TypeFor[validator]())}
	if t.Kind() != reflect.Struct || decodesItself(t) {
		b.body = true
	} else {
		b.compile(t, t, nil)
	}
	checkDecodable(t, t, make(map[reflect.Type]bool))
	if b.body && t.Kind() == reflect.Struct && !decodesItself(t) {
		// The JSON package finds what is wrong with tags, such as two fields of one name, when it first meets the type.
		if err := json.Unmarshal([]byte("{}"), reflect.New(t).Interface()); err != nil {
			panic(fmt.Sprintf("asgi: Handle: %v: %v", t, err))
		}
	}
	return b
}

func (b *binder) compile(root, t reflect.Type, index []int) {
	for f := range t.Fields() {
		at := slices.Concat(index, f.Index)
		fail := func(format string, args ...any) {
			panic(fmt.Sprintf("asgi: Handle: %v: field %s: %s", root, f.Name, fmt.Sprintf(format, args...)))
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
			if inner.Kind() == reflect.Struct && !decodesItself(inner) {
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

func (b *binder) add(f reflect.StructField, index []int, in, name, jsonName string, fail func(string, ...any)) {
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
		in: in, name: name, index: index, set: scalarSetter(f.Type),
		pointer: pointer(name), member: pointer(jsonName),
	}
	if bound.set == nil && f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() != reflect.Uint8 && (in == "query" || in == "header") {
		bound.list = true
		bound.set = scalarSetter(f.Type.Elem())
	}
	if bound.set == nil {
		fail("a %v cannot come from a %s", f.Type, in)
	}
	b.fields = append(b.fields, bound)
}

var decoders = [...]reflect.Type{
	reflect.TypeFor[json.UnmarshalerFrom](), reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
}

// decodesItself reports whether t decodes by a method of its own.
func decodesItself(t reflect.Type) bool {
	for _, decoder := range decoders {
		if reflect.PointerTo(t).Implements(decoder) {
			return true
		}
	}
	return false
}

// checkDecodable panics where t has a part that no JSON can become.
func checkDecodable(root, t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] || decodesItself(t) {
		return
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		panic(fmt.Sprintf("asgi: Handle: %v: a %v cannot come from JSON", root, t))
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		checkDecodable(root, t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if f.IsExported() && f.Tag.Get("json") != "-" {
				checkDecodable(root, f.Type, seen)
			}
		}
	}
}

// bind fills what v points to.
func (b *binder) bind(r *Request, v any) error {
	if b.body && !r.mayLackBody() {
		if err := r.decodeJSON(v); err != nil {
			return err
		}
	}
	if len(b.fields) > 0 {
		if err := b.bindFields(r, reflect.ValueOf(v).Elem()); err != nil {
			return err
		}
	}
	if b.validate {
		if err := v.(validator).Validate(); err != nil {
			return validationError(err)
		}
	}
	return nil
}

// mayLackBody reports a request without a body whose method gives it no meaning anyway (RFC 9110 section 9.3).
func (r *Request) mayLackBody() bool {
	if r.http.ContentLength != 0 {
		return false
	}
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
		if b.body && !field.IsZero() {
			wrong = append(wrong, FieldError{Pointer: f.member, Detail: "is not part of the body but of the " + f.in})
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
		return invalidFields(http.StatusUnprocessableEntity, nil, wrong...)
	}
	return nil
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

// fill sets the field, if the request has it. detail says what is wrong for the client; at is the JSON Pointer of the
// element at fault within a list.
func (f *boundField) fill(r *Request, field reflect.Value) (detail, at string, err error) {
	if f.list {
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
	case "header":
		values := r.http.Header[f.name]
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
		return f.set(field, text), "", nil
	}
	return givenTwice, "", nil
}

func (f *boundField) fillList(r *Request, field reflect.Value) (detail, at string, err error) {
	var texts []string
	if f.in == "header" {
		texts = r.Headers().List(f.name)
	} else {
		q := r.Query()
		if texts = q.Values(f.name); q.err != nil {
			return "", "", q.err
		}
	}
	if texts == nil {
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
