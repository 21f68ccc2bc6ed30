package openapi

import "github.com/go-json-experiment/json/jsontext"

// Options say what a document tells of the app as a whole. Nil and the zero value are valid.
type Options struct {
	Title       string // default "API"
	Version     string // of the API, such as "1.4.0"; default "0.0.0"
	Summary     string // a few words; default none
	Description string // CommonMark; default none
	Terms       string // a URL of the terms of service; default none

	Contact *Contact // default none
	License *License // default none
	// Servers are where the API is served. Default: where the document comes from, "/".
	Servers []Server
	// Tags describe the tags of operations, in the order in which they are shown. An operation may
	// have others too.
	Tags []Tag

	// SecuritySchemes are the ways to authenticate, by the names that Security refers to. Default
	// none, but for "bearer" where a handler of this module takes bearer tokens.
	SecuritySchemes map[string]SecurityScheme
	// Security is how a caller authenticates for operations that say nothing else: all schemes of
	// one of the requirements. Default: not at all.
	Security []Requirement
	// Errors are statuses of errors that any operation may answer, say of a middleware around the
	// router: 429. Default none.
	Errors []int
}

// Contact is who answers questions about an API.
type Contact struct {
	Name  string `json:"name,omitzero"`
	URL   string `json:"url,omitzero"`
	Email string `json:"email,omitzero"`
}

// License is what an API may be used under: a name, and an SPDX identifier or a URL.
type License struct {
	Name       string `json:"name"`
	Identifier string `json:"identifier,omitzero"`
	URL        string `json:"url,omitzero"`
}

// Server is where an API is served: an absolute URL, or a path.
type Server struct {
	URL         string `json:"url"`
	Description string `json:"description,omitzero"`
}

// Tag describes a group of operations.
type Tag struct {
	Name        string `json:"name"`
	Description string `json:"description,omitzero"`
}

// SecurityScheme is a way to authenticate (OpenAPI 3.1, "Security Scheme Object").
type SecurityScheme struct {
	// "http", "apiKey", "oauth2", "openIdConnect" or "mutualTLS"
	Type         string `json:"type"`
	Description  string `json:"description,omitzero"`
	Scheme       string `json:"scheme,omitzero"`       // of http: "bearer", "basic"
	BearerFormat string `json:"bearerFormat,omitzero"` // of bearer, for people: "JWT"
	// of apiKey: the header's, the cookie's or the query parameter's
	Name string `json:"name,omitzero"`
	// of apiKey: "header", "cookie" or "query"
	In               string `json:"in,omitzero"`
	OpenIDConnectURL string `json:"openIdConnectUrl,omitzero"` // of openIdConnect
	// Flows are those of oauth2, as JSON ("OAuth Flows Object").
	Flows jsontext.Value `json:"flows,omitzero"`
}

// BearerAuth is the scheme of bearer tokens (RFC 6750). format is for people, such as "JWT", and
// may be empty.
func BearerAuth(format string) SecurityScheme {
	return SecurityScheme{Type: "http", Scheme: "bearer", BearerFormat: format}
}
