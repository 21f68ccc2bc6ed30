// Package schema makes JSON Schemas (draft 2020-12) of Go types, by reflection, as json/v2 (github.com/go-json-experiment/json, default options
// with RejectUnknownMembers) encodes and decodes them. OpenRPC, AsyncAPI 3.0 and OpenAPI 3.1 documents all hold such schemas.
//
//	defs := schema.New("#/components/schemas/")
//	in := defs.Schema(reflect.TypeFor[GetOrder](), schema.Decode)
//	out := defs.Schema(reflect.TypeFor[Order](), schema.Encode)
//	doc.Components.Schemas = defs.All() // what in and out refer to
//
// A [Schema] is a tree of structs that json/v2 encodes; it may be changed before that. Named types that are structs, slices, arrays and maps
// are definitions and referred to, so that recursion ends; the prefix says where the document keeps them. Everything else stands where it
// is used.
//
// # What holds
//
// Whatever json/v2 encodes of a type satisfies its Encode schema, and what satisfies its Decode schema has the shape that json/v2
// decodes: whether a number fits its type and a text its format is not always something that a schema can say. The two differ:
//
//   - Encode requires the members that are always there: all but those with omitzero or omitempty and those of embedded pointers. Decode requires none,
//     as a missing member is its zero value.
//   - Types with methods for JSON or text count by the methods of that direction alone.
//
// Both refuse unknown members (additionalProperties false), unless an embedded map or jsontext.Value takes them. Decode does not mention that null
// is the zero value of everything; pointers and interfaces say null as they may encode it.
//
//	bool, string, floats             boolean, string, number
//	integers                         integer, with bounds up to 32 bits and for unsigned ones, with format int64 or uint64 else
//	the same with the string option  string with a pattern
//	[]byte, [N]byte                  string, contentEncoding base64
//	time.Time                        string, format date-time
//	slices, arrays                   array; minItems and maxItems of an array
//	maps                             object, additionalProperties; propertyNames where keys are numbers
//	pointers                         what they point to, or null
//	interfaces, jsontext.Value       anything
//	MarshalText and its like         string
//	MarshalJSON and its like         anything, unless the type has a method JSONSchema() jsontext.Value that says what
//	what json/v2 refuses             nothing: false; time.Duration, functions, channels, complex numbers, wrong tags
//
// A definition is called as its type, with those of type arguments behind; names that meet get Input or Output, for the two directions of
// one type, or a number.
//
// # Concurrency
//
// [Definitions] are one goroutine's.
package schema
