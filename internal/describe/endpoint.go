package describe

import (
	"reflect"

	"github.com/go-json-experiment/json/jsontext"
)

// Endpoint is one operation that a handler serves.
type Endpoint struct {
	Method      string // the only one that it has; "" is the route's
	Path        string // below the route's own, such as "/{id}/result"; "" is the route's
	ID          string // what to call it, unless another has that name too
	Summary     string // in a few words
	Description string // CommonMark
	Function    string // the Go name of the function that serves it, such as "getOrder"
	// those of the path are the route's, and count where the route has them too
	Params    []Param
	Body      []Media  // one of them is sent; nil is no body
	Optional  bool     // the body may be left out
	Responses []Answer // without errors; nil is that nothing is known of them
	Errors    []int    // statuses that are answered with a problem (RFC 9457)
	Auth      Auth     // what of a bearer token it asks for
	Hidden    bool     // it belongs into no document
	Operation any      // the openapi.Operation beside the route, nil where there is none
}

// Auth says whether a caller has to authenticate.
type Auth int

// The ways.
const (
	NoAuth Auth = iota
	BearerOptional
	Bearer
)

// Param is a parameter. In a form it is a member of the body.
type Param struct {
	In          string // "path", "query", "header", "cookie" or "form"
	Name        string
	Description string
	Type        reflect.Type   // by which it is read; of the elements where it is a list
	Schema      jsontext.Value // in place of Type
	List        bool           // it may be given more than once
	Joined      bool           // the values of the list are joined by commas
	Deep        bool           // an object whose members are name[member] each
	Required    bool
	Default     string // its text; "" is none
	File        bool   // of a form: a file
	Member      string // what it is called in the JSON of the input, where an example has it
}

// Media is a body of a media type.
type Media struct {
	Type        string         // "application/json"
	Of          []reflect.Type // one of these; nil is anything
	Schema      jsontext.Value // in place of Of
	Without     []string       // members of Of that are no part of the body
	WithoutName string         // what the rest of Of is called in place of its own name
}

// Answer is a response.
type Answer struct {
	Status      int    // 0 is any
	Description string // "" is the status's text
	Body        []Media
	Headers     []Param // In is not used
}
