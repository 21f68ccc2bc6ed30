package schema

import (
	"cmp"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// Definitions are the schemas that others refer to.
type Definitions struct {
	prefix string
	called map[reflect.Type]string // names that somebody has given
	all    map[key]*definition
	order  []*definition
	named  int // so many of them have a name
}

// key is what has a definition of its own.
type key struct {
	t       reflect.Type
	dir     Direction
	without string // members that are left out, joined by zero bytes
}

// definition is a schema that others refer to.
type definition struct {
	key
	of   string // what it is called where nothing stands in the way
	name string
	s    *Schema
}

// New returns no definitions yet. References to them are prefix and a name: "#/$defs/" or
// "#/components/schemas/".
func New(prefix string) *Definitions {
	return &Definitions{
		prefix: prefix, called: make(map[reflect.Type]string),
		all: make(map[key]*definition),
	}
}

// Call gives a type a name, which no other has then. It is for before the type is asked for.
func (d *Definitions) Call(t reflect.Type, name string) { d.called[t] = name }

// All returns the definitions by name, those that were asked for so far and all that they refer to.
func (d *Definitions) All() map[string]*Schema {
	d.nameAll()
	all := make(map[string]*Schema, len(d.order))
	for _, def := range d.order {
		all[def.name] = def.s
	}
	return all
}

// Resolve returns what s refers to, or s itself.
func (d *Definitions) Resolve(s *Schema) *Schema {
	if s.def != nil {
		return s.def.s
	}
	return s
}

// refer is a reference to the definition of k, which build makes where there is none yet.
func (d *Definitions) refer(k key, name string, build func() *Schema) *Schema {
	def := d.all[k]
	if def == nil {
		if called := d.called[k.t]; called != "" && k.without == "" {
			name = called
		}
		def = &definition{key: k, of: name, s: &Schema{}}
		d.all[k] = def
		d.order = append(d.order, def)
		*def.s = *build()
	}
	return &Schema{def: def, defs: d}
}

// reference is how a schema is referred to.
func (d *Definitions) reference(def *definition) string {
	d.nameAll()
	return d.prefix + def.name
}

// nameAll names the definitions. Names depend on which types there are and for which directions,
// not on the order in which they were asked for.
func (d *Definitions) nameAll() {
	if d.named == len(d.order) {
		return
	}
	d.named = len(d.order)
	same := d.same()
	suffixed := func(def *definition) bool {
		return def.dir == Decode && def.other(d) != nil && !same[def.t]
	}
	sorted := slices.Clone(d.order)
	slices.SortStableFunc(sorted, func(a, b *definition) int {
		if suffixed(a) != suffixed(b) { // the plain names first
			if suffixed(b) {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.of, b.of), cmp.Compare(a.t.PkgPath(), b.t.PkgPath()),
			cmp.Compare(a.without, b.without))
	})
	taken := make(map[string]key)
	for t, name := range d.called {
		taken[name] = key{t: t}
	}
	for _, def := range sorted {
		name := def.of
		if d.meets(def) {
			path := def.t.PkgPath()
			last := plainName(path[strings.LastIndexByte(path, '/')+1:])
			name = strings.ToUpper(last[:1]) + last[1:] + name
		}
		if suffixed(def) {
			name += "Input"
		}
		k := key{t: def.t, without: def.without}
		free := name
		for n := 2; ; n++ {
			if other, ok := taken[free]; !ok || other == k && !suffixed(def) {
				break
			}
			free = name + strconv.Itoa(n)
		}
		taken[free], def.name = k, free
	}
}

// meets reports whether a type of another package has the name of def's.
func (d *Definitions) meets(def *definition) bool {
	return slices.ContainsFunc(d.order, func(other *definition) bool {
		return other.of == def.of && other.t.PkgPath() != def.t.PkgPath() &&
			d.called[other.t] == "" && d.called[def.t] == ""
	})
}

// other is the definition of the same for the other direction, nil where there is none.
func (def *definition) other(d *Definitions) *definition {
	k := def.key
	k.dir = Encode - k.dir
	return d.all[k]
}

// same are the types whose schemas for both directions are one: those that would differ in nothing
// but references to such types. It begins with all, and takes those away that do differ, until
// there are none.
func (d *Definitions) same() map[reflect.Type]bool {
	same := make(map[reflect.Type]bool)
	for _, def := range d.order {
		if def.other(d) != nil {
			same[def.t] = true
		}
	}
	for changed := true; changed; {
		changed = false
		for i, def := range d.order {
			def.name = strconv.Itoa(i)
			if other := def.other(d); other != nil && same[def.t] {
				def.name = strconv.Itoa(min(i, slices.Index(d.order, other)))
			}
		}
		for _, def := range d.order {
			if same[def.t] && def.dir == Encode && !alike(def.s, def.other(d).s) {
				delete(same, def.t)
				changed = true
			}
		}
	}
	return same
}

// alike reports whether two schemas are the same JSON.
func alike(a, b *Schema) bool {
	one, err := json.Marshal(a, json.Deterministic(true))
	if err != nil {
		return false
	}
	other, err := json.Marshal(b, json.Deterministic(true))
	return err == nil && string(one) == string(other)
}
