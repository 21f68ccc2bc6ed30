package schema_test

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/genropy/genro-asgi-go/internal/schema"
	"github.com/genropy/genro-asgi-go/internal/typed"
)

// TestSchema_OfRandomTypes makes types at random, inputs that their schemas allow, and inputs that
// are changed in one place. What the decoder takes satisfies the schema; and what satisfies the
// schema the decoder takes, as none of the types decodes by a method of its own.
//
// Null is the exception that the package's documentation has: the decoder takes it for the zero
// value everywhere, and schemas say so of pointers alone.
func TestSchema_OfRandomTypes(t *testing.T) {
	taken, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		typ := randomType(t, maxDepth)
		in, err := typed.NewInput(typ, typed.Strict)
		if err != nil {
			t.Fatalf("%v: %v", typ, err)
		}
		text, defs, s := of(t, typ, schema.Decode)
		g := instances{t, defs}
		for range 5 {
			v := g.of(s, 6)
			for _, v := range []any{v, g.changed(v)} {
				b, err := json.Marshal(v, json.Deterministic(true))
				if err != nil {
					t.Fatal(err)
				}
				decoded := in.Decode(b, reflect.New(typ).Interface())
				why := check(defs, s, v)
				if (decoded == nil) != (why == "") {
					t.Fatalf("%v\n%s\ninput %s\nthe decoder says %v, the schema %q", typ, text, b,
						decoded, why)
				}
				if decoded == nil {
					taken++
				} else {
					refused++
				}
			}
		}
	})
	if taken < 200 || refused < 100 {
		t.Errorf("%d taken, %d refused: that proves little", taken, refused)
	}
}

// TestSchema_OfRandomTypesEncoded: whatever is decoded from an input, and encoded again, satisfies
// the schema of that direction.
func TestSchema_OfRandomTypesEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		typ := randomType(t, maxDepth)
		in, err := typed.NewInput(typ, typed.Strict)
		if err != nil {
			t.Fatalf("%v: %v", typ, err)
		}
		out, err := typed.NewOutput(typ)
		if err != nil {
			t.Fatalf("%v: %v", typ, err)
		}
		_, inputs, input := of(t, typ, schema.Decode)
		text, defs, s := of(t, typ, schema.Encode)
		g := instances{t, inputs}
		for range 5 {
			b, err := json.Marshal(g.of(input, 6))
			if err != nil {
				t.Fatal(err)
			}
			v := reflect.New(typ)
			if err := in.Decode(b, v.Interface()); err != nil {
				t.Fatalf("%v: %s: %v", typ, b, err)
			}
			var encoded strings.Builder
			if err := out.Write(&encoded, v.Interface()); err != nil {
				t.Fatalf("%v: %v", typ, err)
			}
			var got any
			if err := json.Unmarshal([]byte(encoded.String()), &got); err != nil {
				t.Fatal(err)
			}
			if why := check(defs, s, got); why != "" && !hasEnum(typ, map[reflect.Type]bool{}) {
				t.Fatalf("%v\n%s\noutput %s\n%s", typ, text, encoded.String(), why)
			}
		}
	})
}

// hasEnum reports whether a zero value within t may be none of its type's: a member of an enum that
// the input left out.
func hasEnum(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Struct:
		for f := range t.Fields() {
			if hasEnum(f.Type, seen) {
				return true
			}
		}
	case reflect.Slice, reflect.Array, reflect.Map, reflect.Pointer:
		return hasEnum(t.Elem(), seen)
	}
	return schema.Enum(t) != nil
}

var scalars = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[string](), reflect.TypeFor[named](),
	reflect.TypeFor[float64](), reflect.TypeFor[float32](),
	reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[int16](),
	reflect.TypeFor[int32](), reflect.TypeFor[level](),
	reflect.TypeFor[uint](), reflect.TypeFor[uint8](), reflect.TypeFor[uint16](),
	reflect.TypeFor[uint32](), reflect.TypeFor[uint64](),
	reflect.TypeFor[time.Time](), reflect.TypeFor[time.Duration](), reflect.TypeFor[status](),
	reflect.TypeFor[grade](),
}

var others = []reflect.Type{
	reflect.TypeFor[any](), reflect.TypeFor[jsontext.Value](), reflect.TypeFor[[]byte](),
	reflect.TypeFor[tree](), reflect.TypeFor[list](),
	reflect.TypeFor[embedded](), reflect.TypeFor[embedRaw](), reflect.TypeFor[generic[inner]](),
	reflect.TypeFor[twice](), reflect.TypeFor[emptyOmits](),
	reflect.TypeFor[[4]byte](), reflect.TypeFor[[0]byte](), reflect.TypeFor[empty](),
}

const maxDepth = 3

// randomType is a type that nests so deep at most.
func randomType(t *rapid.T, depth int) reflect.Type {
	top := depth == maxDepth
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	if depth == 0 {
		kind %= 4
	}
	switch kind {
	case 0, 1, 2:
		return rapid.SampledFrom(scalars).Draw(t, "scalar")
	case 3:
		return rapid.SampledFrom(others).Draw(t, "type")
	case 4:
		return reflect.SliceOf(randomType(t, depth-1))
	case 5:
		return reflect.ArrayOf(rapid.IntRange(0, 3).Draw(t, "length"), randomType(t, depth-1))
	case 6:
		keys := []reflect.Type{
			reflect.TypeFor[string](), reflect.TypeFor[named](),
			reflect.TypeFor[int](), reflect.TypeFor[uint64](), reflect.TypeFor[status](),
		}
		return reflect.MapOf(rapid.SampledFrom(keys).Draw(t, "key"), randomType(t, depth-1))
	case 7:
		return reflect.PointerTo(randomType(t, depth-1))
	}
	fields := make([]reflect.StructField, rapid.IntRange(0, 5).Draw(t, "fields"))
	for i := range fields {
		f := reflect.StructField{Name: string(rune('A' + i)), Type: randomType(t, depth-1)}
		name := rapid.SampledFrom([]string{"", "m" + f.Name, "ü/~ " + f.Name}).Draw(t, "name")
		options := rapid.SampledFrom([]string{"", ",omitzero", ",omitempty"}).Draw(t, "options")
		if k := f.Type.Kind(); k >= reflect.Int && k <= reflect.Float64 &&
			schema.Enum(f.Type) == nil && f.Type != reflect.TypeFor[time.Duration]() &&
			rapid.Bool().Draw(t, "quoted") {
			options += ",string"
		}
		f.Tag = reflect.StructTag(fmt.Sprintf(`json:"%s%s"`, name, options))
		if top && rapid.IntRange(0, 3).Draw(t, "default") == 0 {
			switch f.Type {
			case reflect.TypeFor[int]():
				f.Tag += ` default:"7"`
			case reflect.TypeFor[string](), reflect.TypeFor[status]():
				f.Tag += ` default:"open"`
			case reflect.TypeFor[time.Duration]():
				f.Tag += ` default:"1m30s"`
			}
		}
		fields[i] = f
	}
	return reflect.StructOf(fields)
}

// instances are JSON values that satisfy schemas.
type instances struct {
	t    *rapid.T
	defs map[string]any
}

// of is a value that satisfies s. Below depth it is as small as it can be.
func (g instances) of(s any, depth int) any {
	object, ok := s.(map[string]any)
	if !ok {
		g.t.Fatalf("nothing satisfies %v", s)
	}
	if ref, ok := object["$ref"].(string); ok {
		return g.of(g.defs[strings.TrimPrefix(ref, "#/$defs/")], depth)
	}
	if values, ok := object["enum"].([]any); ok {
		return values[rapid.IntRange(0, len(values)-1).Draw(g.t, "enum")]
	}
	if either, ok := object["anyOf"].([]any); ok {
		if depth <= 0 {
			return g.of(either[len(either)-1], depth)
		}
		return g.of(either[rapid.IntRange(0, len(either)-1).Draw(g.t, "either")], depth)
	}
	switch object["type"] {
	case nil:
		// also where it is embedded
		return rapid.SampledFrom([]any{
			map[string]any{},
			map[string]any{"k": 1.5},
			map[string]any{"k": []any{"x"}},
		}).Draw(g.t, "anything")
	case "null":
		return nil
	case "boolean":
		return rapid.Bool().Draw(g.t, "bool")
	case "integer":
		low, high := -float64(1<<53), float64(1<<53)
		if n, ok := object["minimum"].(float64); ok {
			low = n
		}
		if n, ok := object["maximum"].(float64); ok {
			high = n
		}
		return float64(rapid.Int64Range(int64(low), int64(high)).Draw(g.t, "integer"))
	case "number":
		return float64(rapid.Float32Range(-math.MaxFloat32/2, math.MaxFloat32/2).Draw(g.t,
			"number"))
	case "string":
		return g.text(object)
	case "array":
		return g.array(object, depth)
	}
	return g.object(object, depth)
}

func (g instances) text(s map[string]any) string {
	pattern, _ := s["pattern"].(string)
	switch {
	case s["contentEncoding"] != nil && pattern == "":
		return base64.StdEncoding.EncodeToString(rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(g.t,
			"bytes"))
	case s["contentEncoding"] != nil:
		return rapid.StringMatching(pattern).Draw(g.t, "array of bytes")
	case s["format"] == "date-time":
		return time.Unix(rapid.Int64Range(0, 1<<33).Draw(g.t, "time"),
			rapid.Int64Range(0, 1e9-1).Draw(g.t, "ns")).UTC().Format(time.RFC3339Nano)
	case strings.Contains(pattern, "ns|us"):
		return rapid.SampledFrom([]string{"0", "1s", "-1h2m", "+1.5ms", ".5s", "1µs"}).Draw(g.t,
			"duration")
	case pattern != "":
		// fits any type
		return rapid.SampledFrom([]string{"0", "7", "100"}).Draw(g.t, "number in a string")
	}
	return rapid.String().Draw(g.t, "text")
}

func (g instances) array(s map[string]any, depth int) any {
	low, high := 0, 3
	if n, ok := s["minItems"].(float64); ok {
		low, high = int(n), int(n)
	}
	if depth <= 0 {
		high = low
	}
	all := make([]any, rapid.IntRange(low, high).Draw(g.t, "items"))
	for i := range all {
		all[i] = g.of(s["items"], depth-1)
	}
	return all
}

func (g instances) object(s map[string]any, depth int) any {
	all := make(map[string]any)
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	for _, name := range sortedNames(properties) {
		if slices.Contains(required, any(name)) || depth > 0 &&
			rapid.IntRange(0, 2).Draw(g.t, "member") > 0 {
			all[name] = g.of(properties[name], depth-1)
		}
	}
	if _, closed := s["additionalProperties"].(bool); !closed && depth > 0 {
		for range rapid.IntRange(0, 2).Draw(g.t, "more") {
			all[g.name(s["propertyNames"])] = g.of(s["additionalProperties"], depth-1)
		}
	}
	return all
}

func (g instances) name(s any) string {
	if s == nil {
		return rapid.SampledFrom([]string{"", "one", "ü\"", "z/~"}).Draw(g.t, "name")
	}
	return g.of(s, 1).(string)
}

// changed is v, or v with another value in one place, or a member more or less.
func (g instances) changed(v any) any {
	if rapid.IntRange(0, 2).Draw(g.t, "here") == 0 {
		return rapid.SampledFrom([]any{
			true, 1.0, -1.0, 1.5, 300.0, "1", "x", "open", "", "1s",
			[]any{},
			map[string]any{},
			[]any{1.0, 2.0},
			map[string]any{"X": 1.0},
		}).Draw(g.t, "another")
	}
	switch v := v.(type) {
	case map[string]any:
		all := make(map[string]any, len(v)+1)
		names := sortedNames(v)
		for _, name := range names {
			all[name] = v[name]
		}
		if len(names) == 0 || rapid.IntRange(0, 4).Draw(g.t, "unknown") == 0 {
			all["unknown"] = 1.0
			return all
		}
		name := rapid.SampledFrom(names).Draw(g.t, "of")
		all[name] = g.changed(v[name])
		return all
	case []any:
		all := slices.Clone(v)
		if len(all) == 0 || rapid.IntRange(0, 4).Draw(g.t, "item") == 0 {
			return append(all, 1.0)
		}
		i := rapid.IntRange(0, len(all)-1).Draw(g.t, "at")
		all[i] = g.changed(all[i])
		return all
	}
	return v
}

func sortedNames(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
