package asgi

import (
	"encoding"
	"fmt"
	"net/http"
	"reflect"
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
		at := append(index[:len(index):len(index)], f.Index...)
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
	for _, other := range b.fields {
		if other.in == in && other.name == name {
			fail("another field has the same %s tag", in)
		}
	}
	if in == "header" {
		name = http.CanonicalHeaderKey(name)
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
		values, err := f.values(r)
		if err != nil {
			return err
		}
		if detail, at := f.store(field, values); detail != "" {
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

// values are the texts that the request has for the field.
func (f *boundField) values(r *Request) ([]string, error) {
	switch f.in {
	case "path":
		return []string{r.http.PathValue(f.name)}, nil
	case "query":
		q := r.Query()
		return q.values[f.name], q.err
	case "header":
		if f.list {
			return r.Headers().List(f.name), nil
		}
		return r.http.Header[f.name], nil
	default:
		if value, ok := r.Cookie(f.name); ok {
			return []string{value}, nil
		}
		return nil, nil
	}
}

// store sets the field; at is the JSON Pointer of the element at fault within it.
func (f *boundField) store(field reflect.Value, values []string) (detail, at string) {
	switch {
	case len(values) == 0:
		return "", ""
	case !f.list && len(values) > 1:
		return givenTwice, ""
	case !f.list:
		return f.set(field, values[0]), ""
	}
	list := reflect.MakeSlice(field.Type(), len(values), len(values))
	for i, value := range values {
		if detail := f.set(list.Index(i), value); detail != "" {
			return detail, fmt.Sprintf("/%d", i)
		}
	}
	field.Set(list)
	return "", ""
}
