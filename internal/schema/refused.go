package schema

import (
	"fmt"
	"reflect"
)

// Check reports a type that JSON can never hold in a direction, or a member of it, and where:
// "time.Duration at /took". Nil says that nothing of the type itself forbids it; a value of it may
// still, such as a float that is not a number.
func Check(t reflect.Type, dir Direction) error {
	d := New("")
	return d.check(d.Schema(t, dir), "", map[*Schema]bool{})
}

// check looks at s, which is at path, unless it was seen.
func (d *Definitions) check(s *Schema, path string, seen map[*Schema]bool) error {
	s = d.Resolve(s)
	if seen[s] {
		return nil
	}
	seen[s] = true
	if s.Not != nil {
		return &refusal{s.of, path}
	}
	parts := make(Properties, 0, len(s.Properties)+2)
	parts = append(parts, s.Properties...)
	if s.Items != nil {
		parts = append(parts, Property{"*", s.Items})
	}
	if a := s.AdditionalProperties; a != nil && (a.Not == nil || s.Properties == nil) {
		// else it is a struct that takes no others
		parts = append(parts, Property{"*", a})
	}
	if len(s.AnyOf) > 0 {
		if err := d.check(s.AnyOf[0], path, seen); err != nil { // the rest is null
			return err
		}
	}
	for _, p := range parts {
		if err := d.check(p.Schema, path+"/"+p.Name, seen); err != nil {
			return err
		}
	}
	return nil
}

// refusal is the error of Check.
type refusal struct {
	of   reflect.Type // nil for the names of a map
	path string
}

func (r *refusal) Error() string {
	what := "such names"
	if r.of != nil {
		what = r.of.String()
	}
	if r.path != "" {
		what = fmt.Sprintf("%s at %s", what, r.path)
	}
	return "JSON cannot hold " + what
}
