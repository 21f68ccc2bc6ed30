package schema

import (
	"cmp"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// member is a field as json/v2 sees it.
type member struct {
	name     string
	named    bool // by its tag
	index    []int
	t        reflect.Type
	optional bool // may be left out when encoded
	quoted   bool // the string option
	embed    bool
	fallback string // what its default tag says
}

// structure is the schema of a struct: of the members that json/v2 finds, with Go's rule of the
// shallowest where names meet.
func (d *Definitions) structure(t reflect.Type, dir Direction) *Schema {
	if !usable(t) {
		return Nothing()
	}
	members, rest := fields(t)
	s := &Schema{Type: "object", Properties: Properties{}, AdditionalProperties: Nothing()}
	for _, m := range members {
		of := d.Schema(m.t, dir)
		if m.quoted && !byMethod(m.t, dir) {
			of = quoted(d.inline(m.t, dir))
		}
		if dir == Decode && m.fallback != "" {
			d.SetDefault(of, m.fallback)
		}
		s.Properties = append(s.Properties, Property{m.name, of})
		if dir == Encode && !m.optional {
			s.Required = append(s.Required, m.name)
		}
	}
	switch {
	case rest == nil:
	case rest.Kind() == reflect.Map:
		s.AdditionalProperties = d.Schema(rest.Elem(), dir)
	default: // a jsontext.Value
		s.AdditionalProperties = &Schema{}
	}
	return s
}

// usable reports whether json/v2 takes the struct's tags: it says so itself when it decodes nothing
// into one. Where the type decodes itself, it is asked to encode.
func usable(t reflect.Type) bool {
	v := reflect.New(t).Interface()
	if byMethod(t, Decode) {
		_, err := json.Marshal(v, jsonv1.FormatDurationAsNano(true)) // it fails without
		return err == nil
	}
	return json.Unmarshal([]byte("{}"), v) == nil
}

// fields returns the members of a struct in the order of their encoding, and the type of the
// embedded map or jsontext.Value that takes all others, nil when there is none.
func fields(root reflect.Type) (members []member, rest reflect.Type) {
	type level struct {
		t        reflect.Type
		index    []int
		optional bool // within an embedded pointer
		again    bool // met before: only its own fields count
	}
	var all []member
	var fallbacks []member
	seen := map[reflect.Type]bool{root: true}
	for queue := []level{{t: root}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for i := range at.t.NumField() {
			f := at.t.Field(i)
			m, ok := parse(f)
			if !ok {
				continue
			}
			m.index = append(slices.Clone(at.index), i)
			m.optional = m.optional || at.optional
			if !m.embed {
				all = append(all, m)
				continue
			}
			t := f.Type
			if t.Kind() == reflect.Pointer && t.Name() == "" {
				t, m.optional = t.Elem(), true
			}
			switch {
			case t == reflect.TypeFor[jsontext.Value]() || t.Kind() == reflect.Map:
				m.t = t
				fallbacks = append(fallbacks, m)
			case !at.again:
				queue = append(queue, level{t, m.index, m.optional, seen[t]})
				seen[t] = true
			}
		}
	}
	slices.SortStableFunc(all, func(a, b member) int {
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(len(a.index), len(b.index)),
			named(a)-named(b))
	})
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].name == all[0].name {
			n++
		}
		if n == 1 || len(all[0].index) != len(all[1].index) || all[0].named != all[1].named {
			// else nobody wins
			members = append(members, all[0])
		}
		all = all[n:]
	}
	slices.SortFunc(members, func(a, b member) int { return slices.Compare(a.index, b.index) })
	if n := len(fallbacks); n == 1 || n > 1 && len(fallbacks[0].index) != len(fallbacks[1].index) {
		rest = fallbacks[0].t
	}
	return members, rest
}

// named sorts a member with a name in its tag first.
func named(m member) int {
	if m.named {
		return 0
	}
	return 1
}

// parse reads a field's tag. It is one that json/v2 has accepted.
func parse(f reflect.StructField) (m member, ok bool) {
	tag := f.Tag.Get("json")
	if tag == "-" || !f.IsExported() && !f.Anonymous {
		return member{}, false
	}
	m = member{name: f.Name, t: f.Type, fallback: f.Tag.Get("default")}
	name, options, _ := strings.Cut(tag, ",")
	if name != "" {
		m.name, m.named = name, true
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitzero", "omitempty":
			m.optional = true
		case "string":
			m.quoted = true
		case "embed":
			m.embed = true
		}
	}
	m.embed = m.embed || f.Anonymous && !m.named
	return m, true
}
