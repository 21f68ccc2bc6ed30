package schema

import (
	"encoding"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Direction says for which of the two a schema is.
type Direction int

// The directions.
const (
	Decode Direction = iota
	Encode
)

// Schema is a JSON Schema. The zero value is satisfied by anything.
type Schema struct {
	Ref                  string         `json:"$ref,omitzero"`
	Description          string         `json:"description,omitzero"`
	Type                 string         `json:"type,omitzero"`
	Format               string         `json:"format,omitzero"`
	ContentEncoding      string         `json:"contentEncoding,omitzero"`
	Pattern              string         `json:"pattern,omitzero"`
	Enum                 []any          `json:"enum,omitzero"`
	Default              jsontext.Value `json:"default,omitzero"`
	Minimum              *int64         `json:"minimum,omitzero"`
	Maximum              *int64         `json:"maximum,omitzero"`
	Items                *Schema        `json:"items,omitzero"`
	MinItems             *int           `json:"minItems,omitzero"`
	MaxItems             *int           `json:"maxItems,omitzero"`
	Properties           Properties     `json:"properties,omitzero"`
	PropertyNames        *Schema        `json:"propertyNames,omitzero"`
	Required             []string       `json:"required,omitempty"`
	AdditionalProperties *Schema        `json:"additionalProperties,omitzero"`
	AnyOf                []*Schema      `json:"anyOf,omitzero"`
	Not                  *Schema        `json:"-"` // not nil only in Nothing()
	Own                  jsontext.Value `json:"-"` // a type's own, in place of all of the above

	of   reflect.Type // what nothing satisfies
	def  *definition  // to which this refers, in place of all of the above
	defs *Definitions // its
}

// Nothing returns the schema that nothing satisfies.
func Nothing() *Schema { return &Schema{Not: &Schema{}} }

// MarshalJSONTo writes a type's own schema as it is; the schema that nothing satisfies is false.
func (s *Schema) MarshalJSONTo(enc *jsontext.Encoder) error {
	switch {
	case s.def != nil:
		with := *s
		with.def, with.Ref = nil, s.defs.reference(s.def)
		return with.MarshalJSONTo(enc)
	case s.Own != nil:
		return enc.WriteValue(s.Own)
	case s.Not != nil:
		return enc.WriteToken(jsontext.False)
	}
	type plain Schema
	return json.MarshalEncode(enc, (*plain)(s))
}

// Property is a member of an object.
type Property struct {
	Name   string
	Schema *Schema
}

// Properties are an object's, in the order of its encoding.
type Properties []Property

// MarshalJSONTo writes an object.
func (p Properties) MarshalJSONTo(enc *jsontext.Encoder) error {
	if err := enc.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	for _, property := range p {
		if err := enc.WriteToken(jsontext.String(property.Name)); err != nil {
			return err
		}
		if err := json.MarshalEncode(enc, property.Schema); err != nil {
			return err
		}
	}
	return enc.WriteToken(jsontext.EndObject)
}

// Schema returns the schema of a type: a reference, where the type is a definition.
func (d *Definitions) Schema(t reflect.Type, dir Direction) *Schema {
	if !d.defines(t, dir) {
		return d.inline(t, dir)
	}
	return d.refer(key{t: t, dir: dir}, plainName(t.Name()),
		func() *Schema { return d.inline(t, dir) })
}

// Without returns the schema of a struct that lacks some of its members: a definition of this name,
// or what stands where it is used if the name is empty.
func (d *Definitions) Without(t reflect.Type, dir Direction, members []string,
	name string,
) *Schema {
	less := func() *Schema {
		s := d.inline(t, dir)
		gone := func(name string) bool { return slices.Contains(members, name) }
		s.Properties = slices.DeleteFunc(s.Properties,
			func(p Property) bool { return gone(p.Name) })
		s.Required = slices.DeleteFunc(s.Required, gone)
		return s
	}
	if name == "" {
		return less()
	}
	return d.refer(key{t: t, dir: dir, without: strings.Join(members, "\x00")}, plainName(name),
		less)
}

// SetDefault gives s, the schema of a scalar, a default: the text of a default tag.
func (d *Definitions) SetDefault(s *Schema, text string) {
	if raw := jsontext.Value(text); !slices.Contains([]string{"", "string"}, d.Resolve(s).Type) &&
		raw.IsValid() {
		s.Default = raw
		return
	}
	s.Default, _ = jsontext.AppendQuote(nil, text) // what a field's tag has is UTF-8
}

// Text returns the schema of what a parameter, which is a text, has to look like to become a t.
func (d *Definitions) Text(t reflect.Type) *Schema {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if _, byText := methods(t, Decode); byText && t != reflect.TypeFor[time.Time]() &&
		!d.defines(t, Decode) {
		return &Schema{Type: "string"}
	}
	return d.Schema(t, Decode)
}

// defines reports whether a type has a definition.
func (d *Definitions) defines(t reflect.Type, dir Direction) bool {
	switch {
	case t.Name() == "":
		return false
	case t.Kind() != reflect.Interface && implements[own](t), Enum(t) != nil:
		return true
	}
	return composite(t) && d.special(t, dir) == nil
}

func composite(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct, reflect.Slice, reflect.Array, reflect.Map:
		return true
	}
	return t.Kind() == reflect.Pointer // a named one may be recursive too
}

// inline is the schema itself.
func (d *Definitions) inline(t reflect.Type, dir Direction) *Schema {
	s := d.plain(t, dir)
	if s.Own == nil {
		s.Enum = Enum(t)
	}
	if s.Not != nil {
		s.of = t
	}
	return s
}

// plain is the schema by the kind of a type, or what stands in its place.
func (d *Definitions) plain(t reflect.Type, dir Direction) *Schema {
	if s := d.special(t, dir); s != nil {
		return s
	}
	switch t.Kind() {
	case reflect.Bool:
		return &Schema{Type: "boolean"}
	case reflect.String:
		return &Schema{Type: "string"}
	case reflect.Float32, reflect.Float64:
		return &Schema{Type: "number"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Uintptr:
		return integer(t)
	case reflect.Slice, reflect.Array:
		return d.array(t, dir)
	case reflect.Map:
		return d.object(t, dir)
	case reflect.Struct:
		return d.structure(t, dir)
	case reflect.Pointer:
		return orNull(d.Schema(t.Elem(), dir))
	case reflect.Interface:
		if !fillable(t, dir) {
			return Nothing()
		}
		return &Schema{}
	}
	return Nothing()
}

// fillable reports whether an interface can hold something that is JSON: in an input one without
// methods, in an output one that is not for bytes or errors, of which JSON would have an empty
// object.
func fillable(t reflect.Type, dir Direction) bool {
	if dir == Decode {
		return t.NumMethod() == 0
	}
	for _, no := range [...]reflect.Type{
		reflect.TypeFor[error](), reflect.TypeFor[io.Reader](),
		reflect.TypeFor[io.Writer](),
	} {
		if t.Implements(no) {
			return false
		}
	}
	return true
}

// own is what a type may implement to say what its methods for JSON make.
type own interface{ JSONSchema() jsontext.Value }

// special is the schema of a type that does not count by its kind, else nil.
func (*Definitions) special(t reflect.Type, dir Direction) *Schema {
	switch t {
	case reflect.TypeFor[time.Time]():
		return &Schema{Type: "string", Format: "date-time"}
	case reflect.TypeFor[time.Duration]():
		return &Schema{Type: "string", Pattern: durationPattern}
	case reflect.TypeFor[jsontext.Value]():
		return &Schema{}
	}
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return nil // json/v2 calls no methods of theirs
	}
	if implements[own](t) {
		return &Schema{Own: reflect.New(t).Interface().(own).JSONSchema()}
	}
	switch byJSON, byText := methods(t, dir); {
	case byJSON:
		return &Schema{}
	case byText:
		return &Schema{Type: "string"}
	}
	return nil
}

// methods tells which methods of a type json/v2 calls in place of going by its kind.
func methods(t reflect.Type, dir Direction) (byJSON, byText bool) {
	if dir == Encode {
		return implements[json.MarshalerTo](t) || implements[json.Marshaler](t),
			implements[encoding.TextAppender](t) || implements[encoding.TextMarshaler](t)
	}
	return implements[json.UnmarshalerFrom](t) ||
		implements[json.Unmarshaler](t), implements[encoding.TextUnmarshaler](t)
}

func byMethod(t reflect.Type, dir Direction) bool {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	byJSON, byText := methods(t, dir)
	return t != reflect.TypeFor[time.Time]() && t.Kind() != reflect.Interface && (byJSON || byText)
}

func implements[I any](t reflect.Type) bool {
	i := reflect.TypeFor[I]()
	return t.Implements(i) || reflect.PointerTo(t).Implements(i)
}

func integer(t reflect.Type) *Schema {
	s := &Schema{Type: "integer"}
	bits := t.Bits()
	low, high := int64(-1)<<(bits-1), int64(1)<<(bits-1)-1
	unsigned := t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uintptr
	if unsigned {
		low, high = 0, int64(1)<<bits-1
	}
	switch {
	case bits < 64:
		s.Minimum, s.Maximum = &low, &high
	case unsigned:
		s.Minimum, s.Format = &low, "uint64"
	default:
		s.Format = "int64"
	}
	return s
}

func (d *Definitions) array(t reflect.Type, dir Direction) *Schema {
	if e := t.Elem(); e.Kind() == reflect.Uint8 && e.PkgPath() == "" {
		s := &Schema{Type: "string", ContentEncoding: "base64"}
		if t.Kind() == reflect.Array {
			s.Pattern = base64Pattern(t.Len())
		}
		return s
	}
	s := &Schema{Type: "array", Items: d.Schema(t.Elem(), dir)}
	if t.Kind() == reflect.Array {
		n := t.Len()
		s.MinItems, s.MaxItems = &n, &n
	}
	return s
}

func (d *Definitions) object(t reflect.Type, dir Direction) *Schema {
	s := &Schema{Type: "object", AdditionalProperties: d.Schema(t.Elem(), dir)}
	switch names := d.inline(t.Key(), dir); {
	case names.Enum != nil && names.Type == "string":
		s.PropertyNames = d.Schema(t.Key(), dir)
	case names.Type == "integer" || names.Type == "number":
		s.PropertyNames = quoted(names)
	case names.Type != "string" && names.Type != "" || names.Not != nil:
		s.AdditionalProperties = Nothing() // nothing can be called so
	}
	return s
}

// The texts of numbers.
const (
	integerPattern = `^-?(0|[1-9][0-9]*)$`
	numberPattern  = `^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`
)

// durationPattern is what time.ParseDuration takes.
const durationPattern = `^[+-]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`

// base64Pattern is what n bytes are in base64.
func base64Pattern(n int) string {
	const one = `[A-Za-z0-9+/]`
	pattern := `^` + one + `{` + strconv.Itoa(n/3*4) + `}`
	switch n % 3 {
	case 1:
		pattern += one + `[AQgw]==` // the bits that are not used are 0
	case 2:
		pattern += one + `{2}[AEIMQUYcgkosw048]=`
	}
	return pattern + `$`
}

// quoted is a number within a string. What is no number cannot be.
func quoted(s *Schema) *Schema {
	switch {
	case s.Type == "integer":
		return &Schema{Type: "string", Pattern: integerPattern}
	case s.Type == "number":
		return &Schema{Type: "string", Pattern: numberPattern}
	case len(s.AnyOf) == 2: // a pointer
		if q := quoted(s.AnyOf[0]); q.Not == nil {
			return orNull(q)
		}
	}
	return Nothing()
}

func orNull(s *Schema) *Schema {
	if reflect.ValueOf(*s).IsZero() || len(s.AnyOf) == 2 && s.AnyOf[1].Type == "null" {
		return s // anything, or a pointer to a pointer: null is among it
	}
	return &Schema{AnyOf: []*Schema{s, {Type: "null"}}}
}

// plainName is a type's name as far as documents allow: Page[github.com/a/b.Order] is PageOrder.
func plainName(name string) string {
	var b strings.Builder
	for _, part := range strings.FieldsFunc(name,
		func(r rune) bool { return strings.ContainsRune("[],*", r) }) {
		part = part[strings.LastIndexAny(part, "./")+1:]
		part, _, _ = strings.Cut(part, "·") // the number of a type that a function declares
		for _, r := range part {
			switch {
			case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
				b.WriteRune(r)
			default:
				b.WriteByte('_')
			}
		}
	}
	return b.String()
}
