package openapi_test

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/openapi"
	"github.com/genropy/genro-asgi-go/wsx"
)

// tells is a handler that tells of one endpoint.
func tells(e describe.Endpoint) http.Handler { return &describe.Next{Endpoint: e} }

// What a handler says of its method and path beside what the route says.
func TestDocument_PlacesWhatAHandlerTells(t *testing.T) {
	mounted := func(pattern string, e describe.Endpoint) openapi.Route {
		return openapi.Route{Pattern: pattern, Mounted: true, Handler: tells(e)}
	}
	got := read(t, doc(nil,
		openapi.Route{Pattern: "/any", Handler: tells(describe.Endpoint{Method: "PUT"})},
		openapi.Route{
			Method: "PATCH", Pattern: "/same",
			Handler: tells(describe.Endpoint{Method: "PATCH"}),
		},
		get("/another", tells(describe.Endpoint{Method: "PUT"})),
		get("/named", tells(describe.Endpoint{ID: "suggestion"})),
		get("/two/1", tells(describe.Endpoint{ID: "both"})),
		get("/two/2", tells(describe.Endpoint{ID: "both"})),
		get("/secret", tells(describe.Endpoint{Hidden: true})),
		get("/below", tells(describe.Endpoint{Path: "/{part}"})),
		mounted("/jobs", describe.Endpoint{Path: "/"}),
		mounted("/jobs/*", describe.Endpoint{Path: "/{id}/result"}),
		mounted("/*", describe.Endpoint{Path: "/"}),
		mounted("/*", describe.Endpoint{Method: "DELETE", Path: "/{id}"}),
	)).operations()
	want := []string{
		"delete /{id} deleteById", "get / getRoot", "get /below/{part} getBelowByPart",
		"get /jobs getJobs", "get /jobs/{id}/result getJobsByIdResult",
		"get /named suggestion", "get /two/1 getTwo1", "get /two/2 getTwo2",
		"patch /same patchSame", "put /any putAny",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want\n%q", got, want)
	}
}

func TestDocument_ParametersOfAHandler(t *testing.T) {
	text, number := reflect.TypeFor[string](), reflect.TypeFor[int64]()
	e := describe.Endpoint{Summary: "S", Description: "D", Params: []describe.Param{
		{In: "query", Name: "one", Type: number, Required: true, Description: "The one"},
		{In: "query", Name: "comma", Type: text, List: true, Joined: true},
		{In: "query", Name: "deep", Deep: true, Schema: jsontext.Value(`{"type":"object"}`)},
		{In: "path", Name: "id", Type: number, Required: true, Description: "Its number"},
		{In: "path", Name: "elsewhere", Type: number, Required: true},
		{In: "form", Name: "field", Type: text},
	}}
	read(t, doc(nil, get("/{other}/{id:[0-9]+}/*", tells(e)))).is(map[string]string{
		"/paths/~1{other}~1{id}~1{path}/get/summary":     `"S"`,
		"/paths/~1{other}~1{id}~1{path}/get/description": `"D"`,
		"/paths/~1{other}~1{id}~1{path}/get/requestBody": "",
		"/paths/~1{other}~1{id}~1{path}/get/parameters": `[{"in":"path","name":"other",` +
			`"required":true,"schema":{"type":"string"}},` +
			`{"description":"Its ` +
			`number","in":"path","name":"id","required":true,"schema":{"format":"int64",` +
			`"pattern":"^[0-9]+$","type":"integer"}},` +
			`{"description":"The rest of the path; it may hold ` +
			`slashes.","in":"path","name":"path","required":true,"schema":{"type":"string"},` +
			`"x-segments":true},` +
			`{"description":"The ` +
			`one","in":"query","name":"one","required":true,"schema":{"format":"int64",` +
			`"type":"integer"}},` +
			`{"explode":false,"in":"query","name":"comma","schema":{"items":{"type":"string"},` +
			`"type":"array"}},` +
			`{"explode":true,"in":"query","name":"deep","schema":{"type":"object"},` +
			`"style":"deepObject"}]`,
	})
}

// An expression that JavaScript does not have, or reads in another way, is no pattern of the
// document.
func TestDocument_ExpressionsOfPaths(t *testing.T) {
	for expression, want := range map[string]string{
		"[a-z]+": `"^[a-z]+$"`, "^[a-z]+": `"^[a-z]+$"`, "[a-z]+$": `"^[a-z]+$"`,
		"(?:a|b)": `"^(?:a|b)$"`, `\d{2}`: `"^\\d{2}$"`,
		"(?i)a": "", "(?P<n>a)": "", `\pL`: "", `\PL`: "", "[[:alpha:]]": "", `\Qa.b\E`: "",
		`a\z`: "", `\Aa`: "", `\x{10FFFF}`: "", `\a`: "", `\C`: "",
	} {
		v := read(t, doc(nil, get("/{id:"+expression+"}", http.HandlerFunc(plain))))
		v.is(map[string]string{
			"/paths/~1{id}/get/parameters/0/schema/pattern": want,
			"/paths/~1{id}/get/responses/404/$ref":          `"#/components/responses/NotFound"`,
		})
	}
}

func TestDocument_BodiesOfAHandler(t *testing.T) {
	text, truth := reflect.TypeFor[string](), reflect.TypeFor[bool]()
	body := describe.Endpoint{Body: []describe.Media{
		{Type: "application/json", Of: []reflect.Type{text, truth}},
		{Type: "image/png", Schema: jsontext.Value(`{"minLength":1}`)},
		{Type: "text/plain"},
	}}
	body.Operation = openapi.Operation{Request: true}
	optional := describe.Endpoint{Optional: true, Body: body.Body[2:]}
	form := describe.Endpoint{Params: []describe.Param{{In: "form", Name: "n", Type: text}}}
	optionalForm := form
	optionalForm.Optional = true
	v := read(t,
		doc(nil, post("/a", tells(body)), post("/b", tells(optional)), post("/c", tells(form)),
			post("/d", tells(optionalForm)),
			get("/a", tells(body)),
			openapi.Route{Method: "HEAD", Pattern: "/c", Handler: tells(form)},
			openapi.Route{Pattern: "/all", Handler: tells(body)}))
	v.is(map[string]string{
		"/paths/~1a/post/requestBody": `{"content":{"application/json":{"example":true,` +
			`"schema":{"anyOf":[{"type":"string"},{"type":"boolean"}]}},` +
			`"image/png":{"schema":{"minLength":1}},"text/plain":{"schema":{}}},"required":true}`,
		"/paths/~1b/post/requestBody":          `{"content":{"text/plain":{"schema":{}}}}`,
		"/paths/~1c/post/requestBody/required": "true",
		"/paths/~1d/post/requestBody/required": "",
		"/paths/~1a/get/requestBody":           "",
		"/paths/~1c/head/requestBody":          "",
		"/paths/~1c/head/parameters":           "",
	})
	if v.at("/paths/~1all/post/requestBody") != v.at("/paths/~1a/post/requestBody") {
		t.Error("a route for all methods whose handler reads a body is no POST")
	}
}

func TestDocument_AnswersOfAHandler(t *testing.T) {
	text := reflect.TypeFor[string]()
	media := []describe.Media{{Type: "text/plain", Of: []reflect.Type{text}}}
	e := describe.Endpoint{
		Responses: []describe.Answer{
			{
				Status: 200, Description: "Fine", Body: media,
				Headers: []describe.Param{
					{Name: "X-One", Type: text, Description: "One"},
					{Name: "X-Two", Type: text},
				},
			},
			{Status: 204},
			{Status: 299},
			{Description: "Whatever", Body: media},
		},
		Errors: []int{204, 399, 400, 503, 599, 600},
	}
	statuses := openapi.Operation{Statuses: []int{202, 203}}
	quiet := describe.Endpoint{Operation: statuses}
	v := read(t,
		doc(nil, get("/a", tells(e)), get("/silent", tells(describe.Endpoint{})),
			get("/statuses", tells(quiet)),
			get("/plain", openapi.Describe(http.HandlerFunc(plain), statuses))))
	v.is(map[string]string{
		"/paths/~1a/get/responses": `{"200":{"content":{"text/plain":{"schema":{"type":"string"}}` +
			`},"description":"Fine",` +
			`"headers":{"X-One":{"description":"One","schema":{"type":"string"}},` +
			`"X-Two":{"schema":{"type":"string"}}}},` +
			`"204":{"description":"No Content"},"299":{"description":"What the handler answers"},` +
			`"400":{"$ref":"#/components/responses/BadRequest"},` +
			`"503":{"$ref":"#/components/responses/ServiceUnavailable"},` +
			`"599":{"$ref":"#/components/responses/Status599"},` +
			`"default":{"content":{"text/plain":{"schema":{"type":"string"}}},` +
			`"description":"Whatever"}}`,
		"/paths/~1silent/get/responses": `{"4XX":{"description":"What a server answers to a ` +
			`request that it cannot read"},"default":{"description":"What the handler answers"}}`,
		"/paths/~1statuses/get/responses": `{"202":{"description":"Accepted"},` +
			`"203":{"description":"Non-Authoritative Information"},` +
			`"4XX":{"description":"What a server answers to a request that it cannot ` +
			`read"},"default":{"$ref":"#/components/responses/Error"}}`,
		"/components/responses/ServiceUnavailable/headers/Retry-After/schema/type": `"integer"`,
	})
	if v.at("/paths/~1plain/get/responses") != v.at("/paths/~1statuses/get/responses") {
		t.Errorf("described: %s", v.at("/paths/~1plain/get/responses"))
	}
}

// Each thing that Defaults and other middlewares tell is told of the operations that they are
// around, and of no others.
func TestDocument_MiddlewaresTellOfAll(t *testing.T) {
	key := []openapi.Requirement{{"key": {"all"}}}
	o := &openapi.Options{
		SecuritySchemes: map[string]openapi.SecurityScheme{
			"key": {Type: "apiKey", In: "header", Name: "X-Key"},
		},
	}
	in := func(pattern string, op openapi.Operation) openapi.Route {
		return openapi.Route{
			Method: "GET", Pattern: pattern, Handler: asgi.Handle(ping),
			Middlewares: []func(http.Handler) http.Handler{openapi.Defaults(op)},
		}
	}
	auth := wsx.Authenticator(letIn)
	v := read(t,
		doc(o, get("/bare", asgi.Handle(ping)), in("/hidden", openapi.Operation{Hidden: true}),
			in("/old", openapi.Operation{Deprecated: true}),
			in("/tags", openapi.Operation{Tags: []string{"x", "y"}}),
			in("/errors", openapi.Operation{Errors: []int{418}}),
			in("/secured", openapi.Operation{Security: key}),
			in("/own",
				openapi.Operation{
					ID: "i", Summary: "s", Description: "d", Request: 1, Response: 2,
					Statuses: []int{203}, Produces: []string{"a/b"},
				}),
			openapi.Route{
				Method: "GET", Pattern: "/auth", Handler: tells(describe.Endpoint{}),
				Middlewares: []func(http.Handler) http.Handler{auth.Middleware},
			}))
	v.is(map[string]string{
		"/paths/~1hidden":             "",
		"/paths/~1old/get/deprecated": "true",
		"/paths/~1tags/get/tags":      `["x","y"]`,
		"/paths/~1errors/get/responses/418": `{"$ref":"#/components/responses/` +
			`IMATeapot"}`,
		"/paths/~1secured/get/security":        `[{"key":["all"]}]`,
		"/paths/~1bare/get/deprecated":         "",
		"/paths/~1bare/get/tags":               "",
		"/paths/~1bare/get/security":           "",
		"/paths/~1bare/get/responses/418":      "",
		"/paths/~1own/get/responses":           v.at("/paths/~1bare/get/responses"),
		"/paths/~1own/get/operationId":         `"getOwn"`,
		"/paths/~1own/get/summary":             v.at("/paths/~1bare/get/summary"),
		"/paths/~1own/get/description":         "",
		"/paths/~1auth/get/responses/400/$ref": `"#/components/responses/BadRequest"`,
		"/paths/~1auth/get/responses/500/$ref": `"#/components/responses/` +
			`InternalServerError"`,
		"/components/responses/IMATeapot/description": `"I'm a teapot"`,
	})
}

// What Describe says of a handler that tells by itself comes on top, each member of it.
func TestDescribe_ComesOnTop(t *testing.T) {
	inner := openapi.Operation{
		ID: "inner", Summary: "S", Description: "D", Request: 1, Response: 2, Statuses: []int{202},
		Tags: []string{"b"}, Errors: []int{404}, Security: []openapi.Requirement{},
	}
	outer := openapi.Operation{
		ID: "outer", Summary: "S2", Description: "D2", Request: 3, Response: 4,
		Statuses: []int{203}, Tags: []string{"a"}, Errors: []int{409}, Deprecated: true,
	}
	typed := asgi.HandleWith(makeThing, with(inner))
	v := read(t,
		doc(nil, post("/kept", openapi.Describe(typed, openapi.Operation{})),
			post("/over", openapi.Describe(typed, outer)),
			post("/hidden", openapi.Describe(typed, openapi.Operation{Hidden: true}))))
	notFound, conflict := `"#/components/responses/NotFound"`, `"#/components/responses/Conflict"`
	v.is(map[string]string{
		"/paths/~1kept/post/operationId":                                     `"inner"`,
		"/paths/~1kept/post/summary":                                         `"S"`,
		"/paths/~1kept/post/description":                                     `"D"`,
		"/paths/~1kept/post/tags":                                            `["b"]`,
		"/paths/~1kept/post/deprecated":                                      "",
		"/paths/~1kept/post/security":                                        `[]`,
		"/paths/~1kept/post/requestBody/content/application~1json/example":   `1`,
		"/paths/~1kept/post/responses/202/content/application~1json/example": `2`,
		"/paths/~1over/post/operationId":                                     `"outer"`,
		"/paths/~1over/post/summary":                                         `"S2"`,
		"/paths/~1over/post/description":                                     `"D2"`,
		"/paths/~1over/post/tags":                                            `["a","b"]`,
		"/paths/~1over/post/deprecated":                                      "true",
		"/paths/~1over/post/requestBody/content/application~1json/example":   `3`,
		"/paths/~1over/post/responses/202":                                   "",
		"/paths/~1over/post/responses/203/content/application~1json/example": `4`,
		"/paths/~1over/post/responses/404/$ref":                              notFound,
		"/paths/~1over/post/responses/409/$ref":                              conflict,
		"/paths/~1hidden":                                                    "",
	})
}

// A summary that nobody wrote is the name of the function in words, or else what is at the path.
func TestDocument_DefaultSummaries(t *testing.T) {
	for function, want := range map[string]string{
		"getOrder": "Get order", "GetHTTPStatus": "Get HTTP status", "list": "List",
		"orderByID": "Order by ID", "URLOf": "URL of", "get_order": "Get order", "aB": "A b",
	} {
		read(t,
			doc(nil,
				get("/a",
					tells(describe.Endpoint{Function: function})))).
			is(map[string]string{"/paths/~1a/get/summary": fmt.Sprintf("%q", want)})
	}
	for method, want := range map[string]string{
		"get": "Get /a/{id}", "head": "Get /a/{id}", "put": "Replace /a/{id}",
		"post": "Post to /a/{id}", "patch": "Change /a/{id}", "delete": "Delete /a/{id}",
		"options": "Options /a/{id}",
	} {
		r := openapi.Route{
			Method: string(bytes.ToUpper([]byte(method))), Pattern: "/a/{id}",
			Handler: http.HandlerFunc(plain),
		}
		read(t,
			doc(nil,
				r)).
			is(map[string]string{"/paths/~1a~1{id}/" + method +
				"/summary": fmt.Sprintf("%q", want)})
	}
}

func TestDocument_IsServed(t *testing.T) {
	d := doc(nil, get("/a", asgi.Handle(ping)))
	want := read(t, d).raw
	if !bytes.HasSuffix(want, []byte("}\n")) {
		t.Errorf("the file does not end with a line: %q", want[len(want)-3:])
	}
	resp := ask(t, d, http.MethodGet, "/openapi.json")
	if text := body(t, resp); resp.StatusCode != http.StatusOK || text != string(want) {
		t.Errorf("%d %q", resp.StatusCode, text)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-cache",
		"X-Content-Type-Options": "nosniff",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	tag := resp.Header.Get("ETag")
	if again := ask(t, d, http.MethodGet, "/", "If-None-Match", tag); tag == "" ||
		again.StatusCode != http.StatusNotModified || body(t, again) != "" {
		t.Errorf("with its ETag %q the answer is %d", tag, again.StatusCode)
	}
	if other := ask(t, doc(nil), http.MethodGet, "/").Header.Get("ETag"); other == tag {
		t.Error("two documents have one ETag")
	}
	head := ask(t, d, http.MethodHead, "/")
	if n, _ := head.Body.Read(make([]byte, 1)); n != 0 || head.StatusCode != http.StatusOK ||
		head.Header.Get("ETag") != tag ||
		head.Header.Get("Content-Length") != fmt.Sprint(len(want)) {
		t.Errorf("HEAD: %d %v", head.StatusCode, head.Header)
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodOptions} {
		resp := ask(t, d, method, "/")
		if resp.StatusCode != http.StatusMethodNotAllowed ||
			resp.Header.Get("Allow") != "GET, HEAD" ||
			resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v", method, resp.StatusCode, resp.Header)
		}
	}
}
