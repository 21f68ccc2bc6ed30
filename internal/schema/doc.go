// Package schema makes JSON Schemas (draft 2020-12) of Go types, by reflection, as json/v2
// (github.com/go-json-experiment/json, default options with RejectUnknownMembers) encodes and
// decodes them. OpenRPC, AsyncAPI 3.0 and OpenAPI 3.1 documents all hold such schemas.
//
//	defs := schema.New("#/components/schemas/")
//	in := defs.Schema(reflect.TypeFor[GetOrder](), schema.Decode)
//	out := defs.Schema(reflect.TypeFor[Order](), schema.Encode)
//	doc.Components.Schemas = defs.All() // what in and out refer to
//
// A [Schema] is a tree of structs that json/v2 encodes; it may be changed before that. Named types
// that are structs, slices, arrays, maps or enums, or have a method JSONSchema, are definitions and
// referred to, so that recursion ends; the prefix says where the document keeps them. Everything
// else stands where it is used.
//
// # What holds
//
// Whatever json/v2 encodes of a type satisfies its Encode schema, as long as what has a method Enum
// has one of its values, and what satisfies its Decode schema has the shape that json/v2 decodes:
// whether a number fits its type and a text its format is not always something that a schema can
// say. The two differ:
//
//   - Encode requires the members that are always there: all but those with omitzero or omitempty
//     and those of embedded pointers. Decode requires none, as a missing member is its zero value.
//   - Types with methods for JSON or text count by the methods of that direction alone.
//
// Both refuse unknown members (additionalProperties false), unless an embedded map or
// jsontext.Value takes them. Decode does not mention that null is the zero value of everything;
// pointers and interfaces say null as they may encode it.
//
//	bool, string, floats             boolean, string, number
//	integers                         integer, with bounds up to 32 bits and for unsigned ones, and
//	                                 with format int64 or uint64 otherwise
//	the same with the string option  string with a pattern
//	[]byte, [N]byte                  string, contentEncoding base64
//	time.Time                        string, format date-time
//	slices, arrays                   array; minItems and maxItems of an array
//	maps                             object, additionalProperties; propertyNames where keys are
//	                                 numbers
//	time.Duration                    string with a pattern, as internal/typed reads and writes it
//	pointers                         what they point to, or null
//	a method Enum() []T of T         what T is else, one of these values
//	interfaces, jsontext.Value       anything; nothing for one with methods in an input, and for
//	                                 an error, an io.Reader and an io.Writer in an output
//	MarshalText and its like         string
//	MarshalJSON and its like         anything, unless the type has a method
//	                                 JSONSchema() jsontext.Value that says what
//	what json/v2 refuses             nothing: false; functions, channels, complex numbers, wrong
//	                                 tags
//
// A definition is called as its type, with those of type arguments behind. Where the two directions
// of one type differ, that of Decode gets Input behind; where types of several packages meet, their
// package's name in front, and a number where that is not enough. Names come from the types alone,
// in whatever order they were asked for: a document's names stay when it gets one type more, unless
// that meets another. They are given when a schema is encoded or All is called, which is once all
// were asked for.
//
// [Check] tells those who register a type, before anything is encoded, that JSON can never hold it.
//
// # Concurrency
//
// [Definitions] are one goroutine's.
package schema
