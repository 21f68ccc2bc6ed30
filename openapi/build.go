package openapi

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/internal/schema"
	"github.com/genropy/genro-asgi-go/problem"
)

const schemasPrefix = "#/components/schemas/"

// bearer is the name of the security scheme for handlers of this module that take bearer tokens.
const bearer = "bearer"

// builder makes a document.
type builder struct {
	opts   *Options
	doc    document
	defs   *schema.Definitions
	shapes map[string]*shape // by template.shape
	errs   []error
}

// shape is a path whatever its parameters are called: OpenAPI has one path item for all of them.
type shape struct {
	template
	ops map[string]*candidate // by method
}

// candidate is an operation before its document is made.
type candidate struct {
	method   string
	pattern  string
	template template
	endpoint describe.Endpoint
	op       Operation
	known    bool // somebody has described it
}

func build(routes []Route, opts *Options) (*document, error) {
	b := &builder{opts: opts, defs: schema.New(schemasPrefix), shapes: make(map[string]*shape)}
	b.defs.Call(reflect.TypeFor[problem.Error](), "Problem")
	b.doc = document{
		OpenAPI: "3.1.1", Servers: opts.Servers, Security: opts.Security, Tags: opts.Tags,
		Paths: make(map[string]*pathItem),
		Info: info{
			Title: cmp.Or(opts.Title, "API"), Summary: opts.Summary, Description: opts.Description,
			TermsOfService: opts.Terms,
			Contact:        opts.Contact, License: opts.License,
			Version: cmp.Or(opts.Version, "0.0.0"),
		},
		Components: components{
			Schemas: make(map[string]*schema.Schema), Responses: make(map[string]response),
			SecuritySchemes: make(map[string]SecurityScheme),
		},
	}
	maps.Copy(b.doc.Components.SecuritySchemes, opts.SecuritySchemes)
	if b.doc.Servers == nil {
		b.doc.Servers = []Server{{URL: "/"}}
	}
	for i := range routes {
		b.route(&routes[i])
	}
	b.paths()
	maps.Copy(b.doc.Components.Schemas, b.defs.All())
	return &b.doc, errors.Join(b.errs...)
}

func (b *builder) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("openapi: "+format, args...))
}

// route finds the operations of a route.
func (b *builder) route(r *Route) {
	var outer Operation
	auth := describe.NoAuth
	var errs []int
	for _, mw := range r.Middlewares {
		if e, ok := describe.Middleware(mw); ok {
			if op, ok := e.Operation.(Operation); ok {
				outer = Operation{
					Tags: op.Tags, Errors: op.Errors, Security: op.Security,
					Deprecated: op.Deprecated, Hidden: op.Hidden,
				}.within(outer)
			}
			auth = max(auth, e.Auth)
			errs = append(errs, e.Errors...)
		}
	}
	endpoints, known := describe.Of(r.Handler)
	if !known {
		endpoints = []describe.Endpoint{{}}
	}
	for _, e := range endpoints {
		own, _ := e.Operation.(Operation)
		e.Auth = max(e.Auth, auth)
		e.Errors = append(slices.Clone(e.Errors), errs...)
		c := &candidate{endpoint: e, op: own.within(outer), known: known}
		if c.op.Hidden || e.Hidden {
			continue
		}
		pattern := r.Pattern
		c.method = r.Method
		if method, rest, ok := strings.Cut(pattern, " "); ok { // of http.ServeMux
			c.method, pattern = method, strings.TrimLeft(rest, " ")
			if i := strings.IndexByte(pattern, '/'); i > 0 { // a host
				pattern = pattern[i:]
			}
		}
		switch {
		case c.method == "" && e.Method == "" && e.Body != nil:
			c.method = http.MethodPost
		case c.method == "" && e.Method == "":
			c.method = http.MethodGet
		case c.method == "":
			c.method = e.Method
		case e.Method != "" && e.Method != c.method:
			continue // the handler refuses what the route brings
		}
		c.pattern = join(pattern, e.Path, r.Mounted && known)
		c.template = parsePattern(c.pattern)
		b.place(c)
	}
}

// place gives a candidate its path.
func (b *builder) place(c *candidate) {
	if new(pathItem).at(c.method) == nil {
		return // OpenAPI 3.1 has no such operation
	}
	s := b.shapes[c.template.shape]
	if s == nil {
		s = &shape{template: c.template, ops: make(map[string]*candidate)}
		b.shapes[c.template.shape] = s
	}
	other := s.ops[c.method]
	switch {
	case other == nil, !other.known && c.known:
		s.ops[c.method] = c
	case c.known && other.known:
		b.fail("%s %s and %s %s are one operation in OpenAPI; hide one of them (Operation.Hidden)",
			other.method, other.pattern, c.method, c.pattern)
	}
}

// paths makes the operations.
func (b *builder) paths() {
	var all []*candidate
	for _, s := range b.shapes {
		for _, c := range s.ops {
			all = append(all, c)
			for i := range c.template.params { // by the names of the path
				c.template.params[i].name = s.params[i].name
			}
			c.template.path = s.path
		}
	}
	slices.SortFunc(all, func(x, y *candidate) int {
		return cmp.Or(cmp.Compare(x.template.path, y.template.path),
			cmp.Compare(x.method, y.method))
	})
	ids := b.ids(all)
	for i, c := range all {
		item := b.doc.Paths[c.template.path]
		if item == nil {
			item = &pathItem{}
			b.doc.Paths[c.template.path] = item
		}
		*item.at(c.method) = b.operation(c, ids[i])
	}
}

// ids are the operationIds: what the program says, what a handler suggests where no other has it,
// or method and path.
func (b *builder) ids(all []*candidate) []string {
	ids := make([]string, len(all))
	taken := make(map[string]*candidate)
	suggested := make(map[string]int)
	for i, c := range all {
		if id := c.op.ID; id != "" {
			if other := taken[id]; other != nil {
				b.fail("%s %s and %s %s both have the operationId %q", other.method, other.pattern,
					c.method, c.pattern, id)
			}
			ids[i], taken[id] = id, c
		}
		suggested[c.endpoint.ID]++
	}
	for i, c := range all {
		id := c.endpoint.ID
		if ids[i] != "" {
			continue
		}
		if id == "" || suggested[id] > 1 || taken[id] != nil {
			id = defaultID(c.method, c.template.path)
		}
		ids[i] = id
		for n := 2; taken[ids[i]] != nil; n++ {
			ids[i] = fmt.Sprintf("%s%d", id, n)
		}
		taken[ids[i]] = c
	}
	return ids
}

func (b *builder) operation(c *candidate, id string) *operation {
	e := &c.endpoint
	op := &operation{
		OperationID: id, Tags: slices.Compact(slices.Clone(c.op.Tags)), Deprecated: c.op.Deprecated,
		Summary: cmp.Or(c.op.Summary, e.Summary,
			defaultSummary(e.Function, c.method, c.template.path)),
		Description: cmp.Or(c.op.Description, e.Description),
	}
	example := b.example(c.op.Request)
	op.Parameters = b.parameters(c, example)
	op.RequestBody = b.body(c, example)
	secured := b.security(c, op)
	op.Responses = b.responses(e, &c.op, secured)
	return op
}

// security says who may call, and reports whether that is not everybody.
func (b *builder) security(c *candidate, op *operation) bool {
	required := c.op.Security
	if required == nil && c.endpoint.Auth != describe.NoAuth && len(b.opts.Security) == 0 {
		required = []Requirement{{bearer: {}}}
		if c.endpoint.Auth == describe.BearerOptional {
			required = append(required, Requirement{})
		}
		if _, ok := b.doc.Components.SecuritySchemes[bearer]; !ok {
			b.doc.Components.SecuritySchemes[bearer] = BearerAuth("")
		}
	}
	if required == nil {
		required = b.opts.Security
	} else {
		op.Security = &required
	}
	for _, r := range required {
		for scheme := range r {
			if _, ok := b.doc.Components.SecuritySchemes[scheme]; !ok {
				b.fail("%s %s: there is no security scheme %q in Options.SecuritySchemes", c.method,
					c.pattern, scheme)
			}
		}
	}
	return len(required) > 0
}

// parameters are those of the path, in its order, and of the rest of the input.
func (b *builder) parameters(c *candidate, example map[string]jsontext.Value) []parameter {
	var all []parameter
	for i, in := range c.template.params {
		p := describe.Param{
			In: "path", Name: in.name, Required: true,
			Type: reflect.TypeFor[string](),
		}
		j := slices.IndexFunc(c.endpoint.Params,
			func(p describe.Param) bool { return p.In == "path" && p.Name == in.of })
		if j >= 0 {
			p = c.endpoint.Params[j]
			p.Name = in.name
		}
		if in.rest {
			p.Description = cmp.Or(p.Description, "The rest of the path; it may hold slashes.")
		}
		all = append(all, b.parameter(&p, example))
		all[i].Segments = in.rest
		if in.pattern != "" && !slices.Contains(c.endpoint.Errors, http.StatusNotFound) {
			// the router's, where it does not match
			c.endpoint.Errors = append(c.endpoint.Errors, http.StatusNotFound)
		}
		if pattern := in.ecma(); pattern != "" && b.defs.Resolve(all[i].Schema) == all[i].Schema {
			all[i].Schema.Pattern = pattern
		}
	}
	for i := range c.endpoint.Params {
		if p := &c.endpoint.Params[i]; p.In == "query" || p.In == "header" || p.In == "cookie" {
			all = append(all, b.parameter(p, example))
		}
	}
	return all
}

func (b *builder) parameter(p *describe.Param, example map[string]jsontext.Value) parameter {
	out := parameter{
		Name: p.Name, In: p.In, Description: p.Description, Required: p.Required,
		Schema: b.paramSchema(p), Example: example[p.Member],
	}
	switch {
	case p.Deep:
		out.Style = "deepObject"
		out.Explode = new(bool)
		*out.Explode = true
	case p.Joined:
		out.Explode = new(bool)
	}
	return out
}

// paramSchema is the schema of a parameter's text.
func (b *builder) paramSchema(p *describe.Param) *schema.Schema {
	s := &schema.Schema{Own: p.Schema}
	if p.Schema == nil {
		s = b.defs.Text(p.Type)
	}
	if p.Default != "" {
		b.defs.SetDefault(s, p.Default)
	}
	if p.List {
		s = &schema.Schema{Type: "array", Items: s}
	}
	return s
}

// body is what is sent: JSON or another media type, or a form.
func (b *builder) body(c *candidate, example map[string]jsontext.Value) *requestBody {
	if c.method == http.MethodGet || c.method == http.MethodHead {
		return nil // it may have one and means nothing by it (RFC 9110 section 9.3.1)
	}
	required := !c.endpoint.Optional && c.method != http.MethodDelete
	if form := b.form(c.endpoint.Params, example); form != nil {
		return &requestBody{Required: required, Content: form}
	}
	if len(c.endpoint.Body) == 0 {
		return nil
	}
	var value any
	if c.op.Request != nil {
		value = c.op.Request
		if without := c.endpoint.Body[0].Without; example != nil && without != nil {
			rest := maps.Clone(example)
			for _, member := range without {
				delete(rest, member)
			}
			value = rest
		}
	}
	return &requestBody{
		Required: required,
		Content:  b.content(c.endpoint.Body, schema.Decode, value),
	}
}

// form is the content of a form, nil where no parameter is of one.
func (b *builder) form(params []describe.Param,
	example map[string]jsontext.Value,
) map[string]mediaType {
	s := &schema.Schema{Type: "object", Properties: schema.Properties{}}
	files := false
	values := make(map[string]jsontext.Value)
	for i := range params {
		if p := &params[i]; p.In == "form" {
			files = files || p.File
			s.Properties = append(s.Properties,
				schema.Property{Name: p.Name, Schema: b.paramSchema(p)})
			if v, ok := example[p.Member]; ok {
				values[p.Name] = v
			}
		}
	}
	if len(s.Properties) == 0 {
		return nil
	}
	m := mediaType{Schema: s}
	if len(values) > 0 {
		m.Example = b.encode(values)
	}
	if files {
		return map[string]mediaType{"multipart/form-data": m}
	}
	return map[string]mediaType{"application/x-www-form-urlencoded": m, "multipart/form-data": m}
}

// content are the media types of a body.
func (b *builder) content(media []describe.Media, dir schema.Direction,
	example any,
) map[string]mediaType {
	if len(media) == 0 {
		return nil
	}
	all := make(map[string]mediaType, len(media))
	for i, m := range media {
		made := mediaType{Schema: b.mediaSchema(&m, dir)}
		if example != nil && i == 0 {
			made.Example = b.encode(example)
		}
		all[m.Type] = made
	}
	return all
}

func (b *builder) mediaSchema(m *describe.Media, dir schema.Direction) *schema.Schema {
	switch {
	case m.Schema != nil:
		return &schema.Schema{Own: m.Schema}
	case len(m.Of) == 0:
		return &schema.Schema{}
	case m.Without != nil:
		return b.defs.Without(m.Of[0], dir, m.Without, m.WithoutName)
	case len(m.Of) == 1:
		return b.defs.Schema(m.Of[0], dir)
	}
	either := &schema.Schema{}
	for _, t := range m.Of {
		either.AnyOf = append(either.AnyOf, b.defs.Schema(t, dir))
	}
	return either
}

// example are the members of an example, by name; nil where it is no object.
func (b *builder) example(v any) (members map[string]jsontext.Value) {
	if v == nil {
		return nil
	}
	if json.Unmarshal(b.encode(v), &members) != nil {
		return nil
	}
	return members
}

func (b *builder) encode(v any) jsontext.Value {
	raw, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		b.fail("the example %T: %w", v, err)
		return jsontext.Value("null")
	}
	return raw
}
