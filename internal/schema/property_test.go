package schema_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/schema"
)

// rounds is how many values of each type are tried.
const rounds = 300

// TestSchema_HoldsForWhatIsEncoded makes random values of every type.
func TestSchema_HoldsForWhatIsEncoded(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, typ := range all {
		text, defs, s := of(t, typ, schema.Encode)
		for range rounds {
			v := reflect.New(typ)
			fill(r, v.Elem(), 4)
			b, err := json.Marshal(v.Interface())
			if err != nil {
				t.Fatalf("%v: %v", typ, err)
			}
			if why := check(defs, s, decoded(t, b)); why != "" {
				t.Fatalf("%v: %s\n%s\n%s", typ, why, b, text)
			}
		}
	}
}

// TestSchema_AgreesWithTheDecoder changes encoded values at random, and asks both.
func TestSchema_AgreesWithTheDecoder(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	accepted, refused := 0, 0
	for _, typ := range all {
		if typ == reflect.TypeFor[composites]() || typ == reflect.TypeFor[byMethods]() {
			// have types that decode by methods, which a schema knows little of
			continue
		}
		text, defs, s := of(t, typ, schema.Decode)
		for range rounds {
			v := reflect.New(typ)
			fill(r, v.Elem(), 4)
			b, err := json.Marshal(v.Interface())
			if err != nil {
				t.Fatal(err)
			}
			changed := change(r, decoded(t, b))
			if b, err = json.Marshal(changed); err != nil {
				t.Fatal(err)
			}
			err = json.Unmarshal(b, reflect.New(typ).Interface(), json.RejectUnknownMembers(true))
			why := check(defs, s, changed)
			if (err == nil) != (why == "") {
				t.Fatalf("%v: the decoder says %v, the schema %q\n%s\n%s", typ, err, why, b, text)
			}
			if err == nil {
				accepted++
			} else {
				refused++
			}
		}
	}
	if accepted < 1000 || refused < 1000 {
		t.Errorf("%d accepted, %d refused: that proves little", accepted, refused)
	}
}

func decoded(t *testing.T, b []byte) (v any) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// change changes one place of a JSON value, or none.
func change(r *rand.Rand, v any) any {
	if r.IntN(3) == 0 { // here
		switch v := v.(type) {
		case map[string]any:
			if keys := slices.Sorted(maps.Keys(v)); len(keys) > 0 && r.IntN(2) == 0 {
				delete(v, keys[r.IntN(len(keys))])
				return v
			}
			v[[]string{"unknown", "X", "value", "1", "x"}[r.IntN(5)]] = []any{1.0, "a"}[r.IntN(2)]
			return v
		case []any:
			if len(v) > 0 && r.IntN(2) == 0 {
				return v[1:]
			}
		}
		return []any{
			true, 1.0, -1.0, 1.5, 300.0, "1", "x", "t5", "",
			[]any{},
			map[string]any{},
			[]any{1.0, 2.0},
		}[r.IntN(12)]
	}
	switch v := v.(type) {
	case map[string]any:
		if keys := slices.Sorted(maps.Keys(v)); len(keys) > 0 {
			k := keys[r.IntN(len(keys))]
			v[k] = change(r, v[k])
		}
	case []any:
		if len(v) > 0 {
			i := r.IntN(len(v))
			v[i] = change(r, v[i])
		}
	}
	return v
}

// check is a validator of what of JSON Schema this package uses. It returns why v does not satisfy
// s.
func check(defs map[string]any, s, v any) string {
	if b, ok := s.(bool); ok {
		if b {
			return ""
		}
		return fmt.Sprintf("nothing may be here, and %v is", v)
	}
	object := s.(map[string]any)
	known := keywords()
	if arg, ok := object["type"]; ok { // first: the others take it for granted
		if why := known["type"](defs, object, arg, v); why != "" {
			return why
		}
	}
	for keyword, arg := range object {
		if why := known[keyword](defs, object, arg, v); why != "" {
			// a nil function panics: a keyword that is not known here
			return why
		}
	}
	return ""
}

func keywords() map[string]func(defs, s map[string]any, arg, v any) string {
	no := func(bad bool, format string, args ...any) string {
		if bad {
			return fmt.Sprintf(format, args...)
		}
		return ""
	}
	return map[string]func(defs, s map[string]any, arg, v any) string{
		"$ref": func(defs, _ map[string]any, arg, v any) string {
			return check(defs, defs[strings.TrimPrefix(arg.(string), "#/$defs/")], v)
		},
		// says nothing of what may be
		"default": func(_, _ map[string]any, _, _ any) string { return "" },
		"enum": func(_, _ map[string]any, arg, v any) string {
			return no(!slices.Contains(arg.([]any), v), "%v is not among %v", v, arg)
		},
		"type": func(_, _ map[string]any, arg, v any) string {
			is := map[string]bool{}
			switch v := v.(type) {
			case nil:
				is["null"] = true
			case bool:
				is["boolean"] = true
			case string:
				is["string"] = true
			case float64:
				is["number"], is["integer"] = true, v == math.Trunc(v)
			case []any:
				is["array"] = true
			case map[string]any:
				is["object"] = true
			}
			return no(!is[arg.(string)], "%v is no %s", v, arg)
		},
		"format": func(_, _ map[string]any, arg, v any) string {
			s, ok := v.(string)
			if !ok || arg != "date-time" {
				return ""
			}
			_, err := time.Parse(time.RFC3339Nano, s)
			return no(err != nil, "%v", err)
		},
		"contentEncoding": func(_, _ map[string]any, _, v any) string {
			_, err := base64.StdEncoding.DecodeString(v.(string))
			return no(err != nil, "%v", err)
		},
		"pattern": func(_, _ map[string]any, arg, v any) string {
			return no(!regexp.MustCompile(arg.(string)).MatchString(v.(string)), "%v is no %v", v,
				arg)
		},
		"minimum": func(_, _ map[string]any, arg, v any) string {
			return no(v.(float64) < arg.(float64), "%v is less than %v", v, arg)
		},
		"maximum": func(_, _ map[string]any, arg, v any) string {
			return no(v.(float64) > arg.(float64), "%v is more than %v", v, arg)
		},
		"items": func(defs, _ map[string]any, arg, v any) string {
			for _, item := range v.([]any) {
				if why := check(defs, arg, item); why != "" {
					return why
				}
			}
			return ""
		},
		"minItems": func(_, _ map[string]any, arg, v any) string {
			return no(float64(len(v.([]any))) < arg.(float64), "fewer items than %v", arg)
		},
		"maxItems": func(_, _ map[string]any, arg, v any) string {
			return no(float64(len(v.([]any))) > arg.(float64), "more items than %v", arg)
		},
		"properties": func(defs, _ map[string]any, arg, v any) string {
			for name, s := range arg.(map[string]any) {
				if member, ok := v.(map[string]any)[name]; ok {
					if why := check(defs, s, member); why != "" {
						return name + ": " + why
					}
				}
			}
			return ""
		},
		"propertyNames": func(defs, _ map[string]any, arg, v any) string {
			for name := range v.(map[string]any) {
				if why := check(defs, arg, name); why != "" {
					return why
				}
			}
			return ""
		},
		"required": func(_, _ map[string]any, arg, v any) string {
			for _, name := range arg.([]any) {
				if _, ok := v.(map[string]any)[name.(string)]; !ok {
					return name.(string) + " is missing"
				}
			}
			return ""
		},
		"additionalProperties": func(defs, s map[string]any, arg, v any) string {
			properties, _ := s["properties"].(map[string]any)
			for name, member := range v.(map[string]any) {
				if _, known := properties[name]; !known {
					if why := check(defs, arg, member); why != "" {
						return name + ": " + why
					}
				}
			}
			return ""
		},
		"anyOf": func(defs, _ map[string]any, arg, v any) string {
			var whys []string
			for _, s := range arg.([]any) {
				why := check(defs, s, v)
				if why == "" {
					return ""
				}
				whys = append(whys, why)
			}
			return strings.Join(whys, ", ")
		},
	}
}

// fill sets v to something at random, no deeper than depth.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(r.Int64N(1<<32), r.Int64N(1e9)).UTC()))
		return
	case jsontext.Value:
		// an object, as an embedded one has to be
		v.Set(reflect.ValueOf(jsontext.Value([]string{"{}", `{"q":1}`}[r.IntN(2)])))
		return
	case text:
		v.Set(reflect.ValueOf(text{r.IntN(100)}))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.String:
		v.SetString([]string{"", "a", "1", "é\""}[r.IntN(4)])
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(r.Int64() >> r.IntN(64) >> (64 - v.Type().Bits()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> r.IntN(64) & (1<<v.Type().Bits() - 1))
	case reflect.Float32, reflect.Float64:
		v.SetFloat([]float64{0, -1.5, 1e21, 1e-9, 42}[r.IntN(5)])
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(r, f, depth-1)
			}
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), depth-1)
		}
	case reflect.Slice:
		if depth > 0 && r.IntN(3) > 0 {
			v.Set(reflect.MakeSlice(v.Type(), r.IntN(3), 3))
			for i := range v.Len() {
				fill(r, v.Index(i), depth-1)
			}
		}
	case reflect.Pointer:
		if depth > 0 && r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), depth-1)
		}
	case reflect.Map:
		if depth > 0 && v.Type().Key().Kind() != reflect.Bool && r.IntN(3) > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(r, k, depth-1)
			fill(r, e, depth-1)
			v.SetMapIndex(k, e)
		}
	case reflect.Interface:
		if v.NumMethod() == 0 && r.IntN(2) == 0 {
			v.Set(reflect.ValueOf([]any{1.5, "x", true, []any{1.0}}[r.IntN(4)]))
		}
	}
}
