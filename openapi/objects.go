package openapi

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/schema"
)

// The objects of OpenAPI 3.1.1 (https://spec.openapis.org/oas/v3.1.1.html) that a document of ours
// has.
type (
	document struct {
		OpenAPI    string               `json:"openapi"`
		Info       info                 `json:"info"`
		Servers    []Server             `json:"servers"`
		Security   []Requirement        `json:"security"`
		Tags       []Tag                `json:"tags,omitempty"`
		Paths      map[string]*pathItem `json:"paths"`
		Components components           `json:"components"`
	}
	info struct {
		Title          string   `json:"title"`
		Summary        string   `json:"summary,omitzero"`
		Description    string   `json:"description,omitzero"`
		TermsOfService string   `json:"termsOfService,omitzero"`
		Contact        *Contact `json:"contact,omitzero"`
		License        *License `json:"license,omitzero"`
		Version        string   `json:"version"`
	}
	pathItem struct {
		Get     *operation `json:"get,omitzero"`
		Put     *operation `json:"put,omitzero"`
		Post    *operation `json:"post,omitzero"`
		Delete  *operation `json:"delete,omitzero"`
		Options *operation `json:"options,omitzero"`
		Head    *operation `json:"head,omitzero"`
		Patch   *operation `json:"patch,omitzero"`
		Trace   *operation `json:"trace,omitzero"`
	}
	operation struct {
		OperationID string              `json:"operationId"`
		Summary     string              `json:"summary"`
		Description string              `json:"description,omitzero"`
		Tags        []string            `json:"tags,omitempty"`
		Deprecated  bool                `json:"deprecated,omitzero"`
		Security    *[]Requirement      `json:"security,omitzero"`
		Parameters  []parameter         `json:"parameters,omitempty"`
		RequestBody *requestBody        `json:"requestBody,omitzero"`
		Responses   map[string]response `json:"responses"`
	}
	parameter struct {
		Name        string         `json:"name"`
		In          string         `json:"in"`
		Description string         `json:"description,omitzero"`
		Required    bool           `json:"required,omitzero"`
		Style       string         `json:"style,omitzero"`
		Explode     *bool          `json:"explode,omitzero"`
		Schema      *schema.Schema `json:"schema"`
		Example     jsontext.Value `json:"example,omitzero"`
		// of a path: slashes in it stay slashes
		Segments bool `json:"x-segments,omitzero"`
	}
	requestBody struct {
		Required bool                 `json:"required,omitzero"`
		Content  map[string]mediaType `json:"content"`
	}
	mediaType struct {
		Schema  *schema.Schema `json:"schema,omitzero"`
		Example jsontext.Value `json:"example,omitzero"`
	}
	response struct {
		Ref         string               `json:"$ref,omitzero"`
		Description string               `json:"description,omitzero"`
		Headers     map[string]header    `json:"headers,omitempty"`
		Content     map[string]mediaType `json:"content,omitempty"`
	}
	header struct {
		Description string         `json:"description,omitzero"`
		Schema      *schema.Schema `json:"schema"`
	}
	components struct {
		Schemas         map[string]*schema.Schema `json:"schemas,omitempty"`
		Responses       map[string]response       `json:"responses,omitempty"`
		SecuritySchemes map[string]SecurityScheme `json:"securitySchemes,omitempty"`
	}
)

// at is the place of the operation for a method, nil where OpenAPI has none.
func (p *pathItem) at(method string) **operation {
	switch method {
	case http.MethodGet:
		return &p.Get
	case http.MethodPut:
		return &p.Put
	case http.MethodPost:
		return &p.Post
	case http.MethodDelete:
		return &p.Delete
	case http.MethodOptions:
		return &p.Options
	case http.MethodHead:
		return &p.Head
	case http.MethodPatch:
		return &p.Patch
	case http.MethodTrace:
		return &p.Trace
	}
	return nil
}
