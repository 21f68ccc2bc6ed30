package wsx

import (
	"maps"
	"reflect"
	"slices"

	"github.com/genropy/genro-asgi-go/internal/schema"
)

// schemasPrefix is where both documents keep the schemas that others refer to.
const schemasPrefix = "#/components/schemas/"

// The objects of OpenRPC 1.3 (https://spec.open-rpc.org) that a document of ours has.
type (
	openRPC struct {
		OpenRPC    string             `json:"openrpc"`
		Info       documentInfo       `json:"info"`
		Methods    []openRPCMethod    `json:"methods"`
		Components documentComponents `json:"components"`
	}
	openRPCMethod struct {
		Name           string              `json:"name"`
		Description    string              `json:"description,omitzero"`
		ParamStructure string              `json:"paramStructure,omitzero"`
		Params         []contentDescriptor `json:"params"`
		Result         *contentDescriptor  `json:"result,omitzero"` // none says that the method is a notification
		Kind           string              `json:"x-wsx-kind"`
		ParamsSchema   *schema.Schema      `json:"x-wsx-params"`
		Item           *schema.Schema      `json:"x-wsx-item,omitzero"`
	}
	contentDescriptor struct {
		Name   string         `json:"name"`
		Schema *schema.Schema `json:"schema"`
	}
	documentComponents struct {
		Schemas map[string]*schema.Schema `json:"schemas"`
	}
)

func (o *DescribeOptions) openRPC(table map[string]*method) openRPC {
	definitions := schema.New(schemasPrefix)
	doc := openRPC{OpenRPC: "1.3.2", Info: o.info(), Methods: []openRPCMethod{}}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if !o.hides(name) {
			doc.Methods = append(doc.Methods, describeMethod(definitions, table[name]))
		}
	}
	doc.Components.Schemas = definitions.All()
	return doc
}

func describeMethod(definitions *schema.Definitions, m *method) openRPCMethod {
	out := openRPCMethod{Name: m.Name, Description: m.Doc, Kind: m.Kind, ParamsSchema: definitions.Schema(m.In, schema.Decode)}
	out.ParamStructure, out.Params = describeParams(definitions, out.ParamsSchema, m.positional)
	if m.Out != nil {
		out.Result = &contentDescriptor{Name: "result", Schema: resultSchema(definitions, m.Out)}
	}
	if m.Item != nil {
		out.Item = resultSchema(definitions, m.Item)
	}
	return out
}

// describeParams takes the params of a method apart, as OpenRPC wants it: one by one. Those that have no names or an open end cannot be told so;
// then there are none, and only x-wsx-params says what they are.
func describeParams(definitions *schema.Definitions, s *schema.Schema, p *positional) (structure string, params []contentDescriptor) {
	params = []contentDescriptor{}
	if p != nil && p.only {
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
	if p != nil && len(p.names) == len(properties) {
		// OpenRPC lists params in the order in which they are by position.
		at := func(x schema.Property) int { return slices.Index(p.names, x.Name) }
		properties = slices.SortedFunc(slices.Values(properties), func(a, b schema.Property) int { return at(a) - at(b) })
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
