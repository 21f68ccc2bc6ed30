package openapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/openapi"
	"github.com/genropy/genro-asgi-go/wsx"
)

func TestDocument_OfNothing(t *testing.T) {
	want := `{"components":{},"info":{"title":"API","version":"0.0.0"},"openapi":"3.1.1",` +
		`"paths":{},"security":[],"servers":[{"url":"/"}]}`
	if got := read(t, doc(nil)).at(""); got != want {
		t.Errorf("%s", got)
	}
}

func TestDocument_Info(t *testing.T) {
	read(t, doc(&openapi.Options{
		Title: "T", Version: "1", Summary: "S", Description: "D", Terms: "https://x.example/terms",
		Contact: &openapi.Contact{Name: "N", URL: "https://x.example", Email: "n@x.example"},
		License: &openapi.License{Name: "L", URL: "https://l.example"},
		Servers: []openapi.Server{{URL: "https://api.example", Description: "P"}},
		Tags:    []openapi.Tag{{Name: "a", Description: "A"}},
	})).is(map[string]string{
		"/info": `{"contact":{"email":"n@x.example","name":"N","url":"https://x.example"},` +
			`"description":"D","license":{"name":"L","url":"https://l.example"},` +
			`"summary":"S","termsOfService":"https://x.example/terms","title":"T","version":"1"}`,
		"/servers": `[{"description":"P","url":"https://api.example"}]`,
		"/tags":    `[{"description":"A","name":"a"}]`,
	})
}

func TestDocument_PathsAndIDs(t *testing.T) {
	h := asgi.Handle(ping)
	for name, c := range map[string]struct {
		routes []openapi.Route
		want   []string
	}{
		"chi": {
			[]openapi.Route{get("/a/{id:[0-9]{2,3}}/*", h)},
			[]string{"get /a/{id}/{path} getAByIdByPath"},
		},
		"ServeMux": {
			[]openapi.Route{
				{Pattern: "DELETE api.example/a-b/{rest...}", Handler: h},
				{Pattern: "GET /{$}", Handler: h},
			},
			[]string{"delete /a-b/{rest} deleteABByRest", "get / getRoot"},
		},
		"all methods": {
			[]openapi.Route{
				{Pattern: "/a", Handler: h},
				{Pattern: "/b", Handler: asgi.Handle(makeThing)},
			},
			[]string{"get /a getA", "post /b postB"},
		},
		"no operation": {
			[]openapi.Route{
				{Method: "QUERY", Pattern: "/a", Handler: h},
				{Method: "CONNECT", Pattern: "/a", Handler: h},
			}, nil,
		},
		"each method": {
			[]openapi.Route{
				{Method: "PUT", Pattern: "/a", Handler: h},
				{Method: "OPTIONS", Pattern: "/a", Handler: h},
				{Method: "HEAD", Pattern: "/a", Handler: h},
				{Method: "PATCH", Pattern: "/a", Handler: h},
				{Method: "TRACE", Pattern: "/a", Handler: h},
			},
			[]string{
				"head /a headA", "options /a optionsA", "patch /a patchA", "put /a putA",
				"trace /a traceA",
			},
		},
		"names of parameters": {
			[]openapi.Route{get("/a/{id}", h), post("/a/{key}", h), get("/a/{id}/b/{id}", h)},
			[]string{
				"get /a/{id} getAById", "get /a/{id}/b/{id_} getAByIdBById",
				"post /a/{id} postAById",
			},
		},
		"ids that meet": {
			[]openapi.Route{get("/a-b", h), get("/a_b", h)},
			[]string{"get /a-b getAB", "get /a_b getAB2"},
		},
		"an id": {
			[]openapi.Route{
				get("/a", asgi.HandleWith(ping, with(openapi.Operation{ID: "getB"}))),
				get("/b", h),
			}, []string{"get /a getB", "get /b getB2"},
		},
		"hidden": {[]openapi.Route{
			get("/a", asgi.HandleWith(ping, with(openapi.Operation{Hidden: true}))),
			get("/b", openapi.Page(nil)), get("/c", doc(nil)),
		}, nil},
		"a plain one gives way": {
			[]openapi.Route{
				get("/a/{x}", http.HandlerFunc(plain)), get("/a/{y}", h),
				get("/a/*", http.HandlerFunc(plain)),
			}, []string{"get /a/{x} getAByX"},
		},
		"another's method": {
			[]openapi.Route{
				get("/rpc", wsx.JSONRPC(wsx.NewDispatcher(), nil)),
				post("/ws", wsx.NewServer(nil, nil)),
			}, nil,
		},
		"mounted": {
			[]openapi.Route{
				{Pattern: "/m/*", Mounted: true, Handler: h},
				{Pattern: "/n/*", Mounted: true, Handler: http.HandlerFunc(plain)},
			},
			[]string{"get /m getM", "get /n/{path} getNByPath"},
		},
		"an open brace": {
			[]openapi.Route{get("/a/{id", h)},
			[]string{"get /a/{id} getAById"},
		},
	} {
		if got := read(t, doc(nil, c.routes...)).operations(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestDocument_TypedOperations(t *testing.T) {
	v := read(t,
		doc(nil, get("/things", asgi.Handle(find)),
			get("/things/{id:[a-z]+}", asgi.Handle(getThing)),
			post("/things", asgi.Handle(makeThing)),
			openapi.Route{Method: "PUT", Pattern: "/things/{id}", Handler: asgi.Handle(putThing)},
			openapi.Route{Method: "DELETE", Pattern: "/things", Handler: asgi.Handle(makeThing)},
			get("/ping", asgi.Handle(ping)), get("/show", asgi.Handle(show))))
	v.is(map[string]string{
		"/paths/~1things/get/parameters": `[{"in":"query","name":"q","schema":{"type":"string"}},` +
			`{"in":"query","name":"limit","schema":{"default":20,"format":"int64",` +
			`"type":"integer"}},` +
			`{"in":"query","name":"wait","schema":{"default":"5s",` +
			`"pattern":"^[+-]?(0|(([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$",` +
			`"type":"string"}},` +
			`{"in":"query","name":"kind","schema":{"items":{"$ref":"#/components/schemas/kind"},` +
			`"type":"array"}},` +
			`{"in":"header","name":"User-Agent","schema":{"type":"string"}},{"in":"cookie",` +
			`"name":"token","schema":{"type":"string"}}]`,
		"/components/schemas/kind": `{"enum":["big","small"],` +
			`"type":"string"}`,
		"/paths/~1things/get/summary": `"Find"`,
		"/paths/~1things~1{id}/get/parameters": `[{"in":"path","name":"id",` +
			`"required":true,"schema":{"format":"int64","pattern":"^[a-z]+$","type":"integer"}}]`,
		"/paths/~1things~1{id}/get/responses/404/$ref": `"#/components/responses/NotFound"`,
		"/paths/~1things~1{id}/put/responses/404":      "",
		"/paths/~1things~1{id}/put/requestBody": `{"content":{"application/` +
			`json":{"schema":{"$ref":"#/components/schemas/changeBody"}}},"required":true}`,
		"/components/schemas/changeBody": `{"additionalProperties":false,` +
			`"properties":{"names":{"items":{"type":"string"},"type":"array"}},"type":"object"}`,
		"/paths/~1things/post/responses/201/headers/Location": `{"schema":{"type":"string"}}`,
		"/paths/~1things/post/responses/415/$ref": `"#/components/responses/` +
			`UnsupportedMediaType"`,
		"/paths/~1things/delete/requestBody/required": "",
		"/paths/~1ping/get/responses/200/content":     `{"application/json":{"schema":{}}}`,
		"/paths/~1ping/get/responses/422":             "",
		"/paths/~1show/get/responses/default": `{"description":"What the ` +
			`handler answers"}`,
		"/components/responses/" +
			"NotFound/content": `{"application/problem+json":{"schema":{"$ref":"#/components/` +
			`schemas/Problem"}}}`,
		"/components/schemas/Problem/required":       `["title","status"]`,
		"/paths/~1things/get/responses/default/$ref": `"#/components/responses/Error"`,
	})
}

func TestDocument_Forms(t *testing.T) {
	read(t,
		doc(nil,
			post("/notes",
				asgi.HandleWith(send, with(openapi.Operation{Request: note{Text: "hi"}}))),
			post("/photos", asgi.Handle(addPhoto)))).is(map[string]string{
		"/paths/~1notes/post/requestBody/content/" +
			"application~1x-www-form-urlencoded": `{"example":{"loud":false,"text":"hi"},` +
			`"schema":{"properties":{"loud":{"type":"boolean"},"text":{"type":"string"}},` +
			`"type":"object"}}`,
		"/paths/~1notes/post/requestBody/content/multipart~1form-data/schema/type": `"object"`,
		"/paths/~1photos/post/" +
			"requestBody/content": `{"multipart/form-data":{"schema":{"properties":{` +
			`"more":{"items":{"contentMediaType":"application/octet-stream","format":"binary",` +
			`"type":"string"},"type":"array"},` +
			`"photo":{"contentMediaType":"application/octet-stream","format":"binary",` +
			`"type":"string"},"title":{"type":"string"}},"type":"object"}}}`,
		"/paths/~1photos/post/responses/413/$ref": `"#/components/responses/RequestEntityTooLarge"`,
	})
}

func TestDocument_Operation(t *testing.T) {
	op := openapi.Operation{
		ID: "x", Summary: "S", Description: "D", Tags: []string{"b"}, Deprecated: true,
		Errors:  []int{404, 418, 499},
		Request: change{thingID: thingID{7}, Names: []string{"n"}}, Response: thing{ID: 7},
	}
	v := read(t,
		doc(&openapi.Options{Errors: []int{503}},
			openapi.Route{
				Method: "PUT", Pattern: "/things/{id}",
				Handler: asgi.HandleWith(putThing, with(op)),
				Middlewares: []func(http.Handler) http.Handler{
					func(http.Handler) http.Handler {
						t.Error("a foreign middleware was called")
						return nil
					},
					openapi.Defaults(openapi.Operation{
						Tags: []string{"a"}, Errors: []int{429},
						ID: "not for all",
					}),
				},
			}))
	v.is(map[string]string{
		"/paths/~1things~1{id}/put/operationId":          `"x"`,
		"/paths/~1things~1{id}/put/summary":              `"S"`,
		"/paths/~1things~1{id}/put/description":          `"D"`,
		"/paths/~1things~1{id}/put/tags":                 `["a","b"]`,
		"/paths/~1things~1{id}/put/deprecated":           `true`,
		"/paths/~1things~1{id}/put/parameters/0/example": `7`,
		"/paths/~1things~1{id}/put/requestBody/content/" +
			"application~1json/example": `{"names":["n"]}`,
		"/paths/~1things~1{id}/put/responses/200/content/application~1json/example": `{"id":7}`,
		"/paths/~1things~1{id}/put/" +
			"responses/429/$ref": `"#/components/responses/TooManyRequests"`,
		"/paths/~1things~1{id}/put/" +
			"responses/503/$ref": `"#/components/responses/ServiceUnavailable"`,
		"/paths/~1things~1{id}/put/" +
			"responses/499/$ref": `"#/components/responses/Status499"`,
		"/components/responses/Status499/description": `"Status 499"`,
		"/components/responses/TooManyRequests/headers/" +
			"Retry-After/schema": `{"type":"integer"}`,
	})
}

func TestDocument_Produces(t *testing.T) {
	show := func(context.Context, thingID) (asgi.Response, error) { return asgi.Text("x"), nil }
	plain := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	read(t,
		doc(nil,
			get("/a/{id}",
				asgi.HandleWith(show,
					with(openapi.Operation{Produces: []string{"image/*", "text/plain"}}))),
			get("/b/{id}",
				asgi.HandleWith(show,
					with(openapi.Operation{
						Produces: []string{"image/png"},
						Statuses: []int{200, 206},
					}))),
			get("/c", openapi.Describe(plain, openapi.Operation{Produces: []string{"image/png"}})),
			get("/d/{id}",
				openapi.Describe(asgi.HandleWith(show, nil),
					openapi.Operation{Produces: []string{"image/png"}})))).is(map[string]string{
		"/paths/~1a~1{id}/get/responses/" +
			"200/content": `{"image/*":{"schema":{"format":"binary","type":"string"}},` +
			`"text/plain":{"schema":{"type":"string"}}}`,
		"/paths/~1a~1{id}/get/responses/default/$ref":    `"#/components/responses/Error"`,
		"/paths/~1b~1{id}/get/responses/206/description": `"Partial Content"`,
		"/paths/~1b~1{id}/get/responses/" +
			"206/content": `{"image/png":{"schema":{"format":"binary","type":"string"}}}`,
		"/paths/~1c/get/responses/200/description": `"OK"`,
		"/paths/~1d~1{id}/get/responses/" +
			"200/content": `{"image/png":{"schema":{"format":"binary","type":"string"}}}`,
	})
}

func TestDocument_Security(t *testing.T) {
	key := []openapi.Requirement{{"key": nil}}
	auth := wsx.Authenticator(letIn)
	around := func(mws ...func(http.Handler) http.Handler) []func(http.Handler) http.Handler {
		return mws
	}
	o := &openapi.Options{
		SecuritySchemes: map[string]openapi.SecurityScheme{
			"key": {Type: "apiKey", In: "header", Name: "X-Key"},
		},
	}
	v := read(t, doc(o,
		get("/open", asgi.Handle(ping)),
		get("/own", asgi.HandleWith(ping, with(openapi.Operation{Security: key}))),
		openapi.Route{
			Method: "GET", Pattern: "/group", Handler: asgi.Handle(ping),
			Middlewares: around(openapi.Defaults(openapi.Operation{Security: key})),
		},
		openapi.Route{
			Method: "GET", Pattern: "/nobody",
			Handler: asgi.HandleWith(ping,
				with(openapi.Operation{Security: []openapi.Requirement{}})),
			Middlewares: around(openapi.Defaults(openapi.Operation{Security: key})),
		},
		openapi.Route{
			Method: "GET", Pattern: "/inner", Handler: asgi.Handle(ping),
			Middlewares: around(
				openapi.Defaults(openapi.Operation{Security: []openapi.Requirement{}}),
				openapi.Defaults(openapi.Operation{Security: key})),
		},
		openapi.Route{
			Method: "GET", Pattern: "/bearer", Handler: asgi.Handle(ping),
			Middlewares: around(auth.Middleware),
		},
		openapi.Route{
			Method: "GET", Pattern: "/guests", Handler: asgi.Handle(ping),
			Middlewares: around(auth.Optional),
		},
		get("/wrapped", auth.Middleware(asgi.Handle(ping)))))
	v.is(map[string]string{
		"/security": `[]`,
		"/components/securitySchemes": `{"bearer":{"scheme":"bearer",` +
			`"type":"http"},"key":{"in":"header","name":"X-Key","type":"apiKey"}}`,
		"/paths/~1open/get/security":          "",
		"/paths/~1own/get/security":           `[{"key":[]}]`,
		"/paths/~1own/get/responses/401/$ref": `"#/components/responses/Unauthorized"`,
		"/paths/~1own/get/responses/403/$ref": `"#/components/responses/Forbidden"`,
		"/paths/~1group/get/security":         `[{"key":[]}]`,
		"/paths/~1inner/get/security":         `[{"key":[]}]`,
		"/paths/~1nobody/get/security":        `[]`,
		"/paths/~1nobody/get/responses/401":   "",
		"/paths/~1bearer/get/security":        `[{"bearer":[]}]`,
		"/paths/~1guests/get/security":        `[{"bearer":[]},{}]`,
		"/paths/~1wrapped/get/security":       `[{"bearer":[]}]`,
		"/components/responses/" +
			"Unauthorized/headers": `{"WWW-Authenticate":{"schema":{"type":"string"}}}`,
	})
	bearer := openapi.Route{
		Method: "GET", Pattern: "/bearer", Handler: asgi.Handle(ping),
		Middlewares: around(auth.Middleware),
	}
	own := &openapi.Options{
		SecuritySchemes: map[string]openapi.SecurityScheme{"bearer": openapi.BearerAuth("JWT")},
	}
	for want, o := range map[string]*openapi.Options{
		`{"bearer":{"scheme":"bearer","type":"http"}}`:                      nil,
		`{"bearer":{"bearerFormat":"JWT","scheme":"bearer","type":"http"}}`: own,
	} {
		read(t,
			doc(o,
				bearer)).is(map[string]string{
			"/components/securitySchemes":  want,
			"/paths/~1bearer/get/security": `[{"bearer":[]}]`,
		})
	}
	if len(o.SecuritySchemes) != 1 {
		t.Errorf("the options were changed: %v", o.SecuritySchemes)
	}
	o.Security = key // which then counts for bearer tokens too: the program says what they are
	read(t,
		doc(o,
			openapi.Route{
				Method: "GET", Pattern: "/bearer", Handler: asgi.Handle(ping),
				Middlewares: around(auth.Middleware),
			})).is(map[string]string{
		"/security": `[{"key":[]}]`, "/paths/~1bearer/get/security": "",
		"/paths/~1bearer/get/responses/401/$ref": `"#/components/responses/Unauthorized"`,
	})
}

func TestDescribe(t *testing.T) {
	called := 0
	h := openapi.Describe(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called++ }),
		openapi.Operation{
			Summary: "S", In: reflect.TypeFor[change](), Out: reflect.TypeFor[[]thing](),
			Statuses: []int{200, 202}, Errors: []int{404},
		})
	typed := openapi.Describe(asgi.HandleWith(getThing,
		with(openapi.Operation{Summary: "inner", Tags: []string{"b"}})), openapi.Operation{
		ID: "outer", Description: "D", Tags: []string{"a"}, Statuses: []int{203},
		Request: thingID{7}, Response: thing{},
	})
	read(t,
		doc(nil, post("/a/{id}", h), get("/b/{id}", typed),
			get("/c",
				openapi.Describe(http.HandlerFunc(plain),
					openapi.Operation{Out: reflect.TypeFor[string]()})))).is(map[string]string{
		"/paths/~1a~1{id}/post/parameters/0/schema/type": `"integer"`,
		"/paths/~1a~1{id}/post/responses/" +
			"202/content": `{"application/json":{"schema":{"items":{"$ref":"#/components/schemas/` +
			`thing"},"type":"array"}}}`,
		"/paths/~1a~1{id}/post/responses/200/description":                      `"OK"`,
		"/paths/~1b~1{id}/get/operationId":                                     `"outer"`,
		"/paths/~1b~1{id}/get/summary":                                         `"inner"`,
		"/paths/~1b~1{id}/get/description":                                     `"D"`,
		"/paths/~1b~1{id}/get/tags":                                            `["a","b"]`,
		"/paths/~1b~1{id}/get/parameters/0/example":                            `7`,
		"/paths/~1b~1{id}/get/responses/200":                                   "",
		"/paths/~1b~1{id}/get/responses/203/content/application~1json/example": `{"id":0}`,
		"/paths/~1c/get/responses/" +
			"200/content": `{"application/json":{"schema":{"type":"string"}}}`,
	})
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/a/7", nil))
	openapi.Defaults(openapi.Operation{})(h).ServeHTTP(httptest.NewRecorder(),
		httptest.NewRequest(http.MethodPost, "/a/7", nil))
	if called != 2 {
		t.Errorf("the handler was called %d times", called)
	}
}
