// Package documents describes methods as OpenRPC 1.3, channels as AsyncAPI 3.0, and the handlers of
// wsx for the OpenAPI document of the app that they are in.
//
// # Contract
//
// [OpenRPC] and [AsyncAPI] return the same bytes for the same methods and channels, whatever their
// order. Types are described by their JSON Schemas, which lie in the document's components and are
// called there as in the app's OpenAPI document. The error is for a type whose JSONSchema method
// returns what is not JSON.
//
// # Concurrency
//
// All functions are safe for concurrent use.
package documents

import (
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/schema"
	"github.com/genropy/genro-asgi-go/problem"
)

// Info is what a document says of the API as a whole.
type Info struct {
	Title   string // "WSX API" when empty
	Version string // "0.0.0" when empty
	Doc     string // in CommonMark; none when empty
}

// infoObject is the Info Object of both specifications.
type infoObject struct {
	Title       string `json:"title"`
	Version     string `json:"version"`
	Description string `json:"description,omitzero"`
}

func (i *Info) object() infoObject {
	o := infoObject{Title: i.Title, Version: i.Version, Description: i.Doc}
	if o.Title == "" {
		o.Title = "WSX API"
	}
	if o.Version == "" {
		o.Version = "0.0.0"
	}
	return o
}

// componentsObject is the Components Object of both specifications.
type componentsObject struct {
	Schemas map[string]*schema.Schema `json:"schemas"`
}

// schemasPrefix is where both documents keep the schemas that others refer to.
const schemasPrefix = "#/components/schemas/"

// newDefinitions are the schemas of a document, called as in the OpenAPI document of the app.
func newDefinitions() *schema.Definitions {
	definitions := schema.New(schemasPrefix)
	definitions.Call(reflect.TypeFor[problem.Error](), "Problem")
	return definitions
}

func encode(document any) (jsontext.Value, error) {
	return json.Marshal(document, json.Deterministic(true))
}
