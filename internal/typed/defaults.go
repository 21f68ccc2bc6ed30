package typed

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json"
)

// defaultValue is what a field has where its member is missing.
type defaultValue struct {
	index []int
	set   Setter
	text  string
}

// defaultsOf finds the default tags of a struct and of the structs that it holds by value.
func defaultsOf(t reflect.Type) ([]defaultValue, error) {
	if t.Kind() != reflect.Struct {
		return nil, noDefaults(t, make(map[reflect.Type]bool))
	}
	return findDefaults(nil, t, nil, make(map[reflect.Type]bool))
}

func findDefaults(all []defaultValue, t reflect.Type, index []int,
	above map[reflect.Type]bool,
) ([]defaultValue, error) {
	if t.Kind() != reflect.Struct || t == timeType || above[t] {
		return all, nil
	}
	above[t] = true
	defer delete(above, t)
	for f := range t.Fields() {
		text, ok := f.Tag.Lookup("default")
		at := slices.Concat(index, f.Index)
		var err error
		switch {
		case ok && !f.IsExported():
			err = fmt.Errorf("field %s of %v: it is not exported and can have no default", f.Name,
				t)
		case ok && DecodesItself(t):
			err = fmt.Errorf(
				"field %s of %v: the type decodes itself, so that a default counts for nothing",
				f.Name, t)
		case ok:
			set := NewSetter(f.Type)
			if set == nil || f.Type.Kind() == reflect.Pointer {
				return nil, fmt.Errorf("field %s of %v: a %v can have no default", f.Name, t,
					f.Type)
			}
			if detail := set(reflect.New(f.Type).Elem(), text); detail != "" {
				return nil, fmt.Errorf("field %s of %v: default %q: it %s", f.Name, t, text, detail)
			}
			all = append(all, defaultValue{at, set, text})
		case f.Type.Kind() == reflect.Struct:
			all, err = findDefaults(all, f.Type, at, above)
		default:
			err = noDefaults(f.Type, above)
		}
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// noDefaults refuses a default where nothing could set it: a struct in a list, a map or behind a
// pointer comes into being while the input is read.
func noDefaults(t reflect.Type, seen map[reflect.Type]bool) error {
	if seen[t] || t == timeType {
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		seen[t] = true // a slice may be of itself
		return noDefaults(t.Elem(), seen)
	case reflect.Struct:
	default:
		return nil
	}
	seen[t] = true
	for f := range t.Fields() {
		if _, ok := f.Tag.Lookup("default"); ok {
			return fmt.Errorf(
				"field %s of %v: a default counts only in the input itself and in structs that "+
					"it holds by value", f.Name, t)
		}
		if err := noDefaults(f.Type, seen); err != nil {
			return err
		}
	}
	return nil
}

// Default is what a field has by its default tag, not valid where it has none. The tag was judged
// by [NewInput], or will be.
func Default(f *reflect.StructField) (v reflect.Value) {
	text, ok := f.Tag.Lookup("default")
	set := NewSetter(f.Type)
	if !ok || set == nil {
		return v
	}
	v = reflect.New(f.Type).Elem()
	set(v, text)
	return v
}

func setDefaults(v reflect.Value, defaults []defaultValue) {
	for i := range defaults {
		d := &defaults[i]
		d.set(v.FieldByIndex(d.index), d.text)
	}
}

var decoders = [...]reflect.Type{
	reflect.TypeFor[json.UnmarshalerFrom](), reflect.TypeFor[json.Unmarshaler](),
	reflect.TypeFor[encoding.TextUnmarshaler](),
}

// DecodesItself reports whether json/v2 calls a method of t instead of going by its kind.
func DecodesItself(t reflect.Type) bool {
	return slices.ContainsFunc(decoders[:], func(d reflect.Type) bool {
		return t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface &&
			reflect.PointerTo(t).Implements(d)
	})
}
