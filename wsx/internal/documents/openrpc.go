package documents

import (
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/schema"
)

// The objects of OpenRPC 1.3 (https://spec.open-rpc.org) that a document of ours has.
type (
	openRPC struct {
		OpenRPC    string           `json:"openrpc"`
		Info       infoObject       `json:"info"`
		Methods    []openRPCMethod  `json:"methods"`
		Components componentsObject `json:"components"`
	}
	openRPCMethod struct {
		Name           string              `json:"name"`
		Description    string              `json:"description,omitzero"`
		ParamStructure string              `json:"paramStructure,omitzero"`
		Params         []contentDescriptor `json:"params"`
		// none says that the method is a notification
		Result       *contentDescriptor `json:"result,omitzero"`
		Kind         string             `json:"x-wsx-kind"`
		ParamsSchema *schema.Schema     `json:"x-wsx-params"`
		Item         *schema.Schema     `json:"x-wsx-item,omitzero"`
	}
	contentDescriptor struct {
		Name   string         `json:"name"`
		Schema *schema.Schema `json:"schema"`
	}
)

// Method is a method as OpenRPC tells of it.
type Method struct {
	Name, Kind, Doc string
	// In is the type of the params. Out is the type of the result, nil for a notification. Item is
	// that of a stream's items, else nil.
	In, Out, Item reflect.Type
	// ByPosition are the names of the params in the order in which an array has them, nil when it
	// may not be one.
	ByPosition []string
	// Single says that the params are one value, which only an array can hold.
	Single bool
}

// OpenRPC returns the document of the methods.
func OpenRPC(info *Info, methods []Method) (jsontext.Value, error) {
	definitions := newDefinitions()
	doc := openRPC{OpenRPC: "1.3.2", Info: info.object(), Methods: []openRPCMethod{}}
	methods = slices.Clone(methods)
	slices.SortFunc(methods, func(a, b Method) int { return strings.Compare(a.Name, b.Name) })
	for i := range methods {
		doc.Methods = append(doc.Methods, describeMethod(definitions, &methods[i]))
	}
	doc.Components.Schemas = definitions.All()
	return encode(doc)
}

func describeMethod(definitions *schema.Definitions, m *Method) openRPCMethod {
	out := openRPCMethod{
		Name: m.Name, Description: m.Doc, Kind: m.Kind,
		ParamsSchema: definitions.Schema(m.In, schema.Decode),
	}
	out.ParamStructure, out.Params = describeParams(definitions, out.ParamsSchema, m)
	if m.Out != nil {
		out.Result = &contentDescriptor{Name: "result", Schema: resultSchema(definitions, m.Out)}
	}
	if m.Item != nil {
		out.Item = resultSchema(definitions, m.Item)
	}
	return out
}

// describeParams takes the params of a method apart, as OpenRPC wants it: one by one. Those that
// have no names or an open end cannot be told so; then there are none, and only x-wsx-params says
// what they are.
func describeParams(definitions *schema.Definitions, s *schema.Schema,
	m *Method,
) (structure string, params []contentDescriptor) {
	params = []contentDescriptor{}
	if m.Single {
		return "by-position", append(params, contentDescriptor{"params", s})
	}
	if len(s.AnyOf) == 2 { // a pointer's
		s = s.AnyOf[0]
	}
	s = definitions.Resolve(s)
	if s.Type != "object" {
		return "", params
	}
	structure = "by-name"
	properties := s.Properties
	if m.ByPosition != nil && len(m.ByPosition) == len(properties) {
		// OpenRPC lists params in the order in which they are by position.
		at := func(x schema.Property) int { return slices.Index(m.ByPosition, x.Name) }
		properties = slices.SortedFunc(slices.Values(properties),
			func(a, b schema.Property) int { return at(a) - at(b) })
		structure = "either"
	}
	for _, property := range properties {
		params = append(params, contentDescriptor{property.Name, property.Schema})
	}
	return structure, params
}

// resultSchema is Definitions.Schema of what an encoder writes.
func resultSchema(definitions *schema.Definitions, t reflect.Type) *schema.Schema {
	if t == reflect.TypeFor[struct{}]() {
		return &schema.Schema{Type: "null"}
	}
	return definitions.Schema(t, schema.Encode)
}
