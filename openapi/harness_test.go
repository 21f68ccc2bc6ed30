package openapi_test

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/openapi"
	"github.com/genropy/genro-asgi-go/wsx"
)

type (
	thing struct {
		ID    int64     `json:"id"`
		Names []string  `json:"names,omitempty"`
		Since time.Time `json:"since,omitzero"`
	}
	thingID struct {
		ID int64 `path:"id"`
	}
	search struct {
		Text  string        `query:"q"`
		Limit int           `query:"limit" default:"20"`
		Wait  time.Duration `query:"wait" default:"5s"`
		Kinds []kind        `query:"kind"`
		Agent *string       `header:"user-agent"`
		Token string        `cookie:"token"`
	}
	change struct {
		thingID
		Names []string `json:"names"`
	}
	upload struct {
		Title string           `form:"title"`
		Photo *asgi.FormFile   `form:"photo"`
		More  []*asgi.FormFile `form:"more"`
	}
	note struct {
		Text string `form:"text" json:"text"`
		Loud bool   `form:"loud" json:"loud"`
	}
	made struct {
		_        struct{} `status:"201"`
		Location string   `header:"Location" json:"-"`
		thing
	}
	kind string
)

func (kind) Enum() []kind { return []kind{"big", "small"} }

func find(context.Context, search) ([]thing, error) { return nil, nil }

func getThing(context.Context, thingID) (thing, error) { return thing{}, nil }

func putThing(context.Context, change) (thing, error) { return thing{}, nil }

func makeThing(context.Context, thing) (made, error) { return made{}, nil }

func send(context.Context, note) (struct{}, error) { return struct{}{}, nil }

func addPhoto(context.Context, upload) (struct{}, error) { return struct{}{}, nil }

func ping(context.Context, struct{}) (any, error) { return nil, nil }

func show(context.Context, struct{}) (*asgi.Reply, error) { return asgi.Text("x"), nil }

func plain(http.ResponseWriter, *http.Request) {}

func letIn(*http.Request, string) (wsx.Identity, error) { return wsx.Identity{}, nil }

func with(op openapi.Operation) *asgi.HandleOptions {
	return &asgi.HandleOptions{Operation: op}
}

func get(pattern string, h http.Handler) openapi.Route {
	return openapi.Route{Method: "GET", Pattern: pattern, Handler: h}
}

func post(pattern string, h http.Handler) openapi.Route {
	return openapi.Route{Method: "POST", Pattern: pattern, Handler: h}
}

func doc(o *openapi.Options, routes ...openapi.Route) *openapi.Document {
	return openapi.New(slices.Values(routes), o)
}

// value is the document as JSON, of which at finds parts by a JSON Pointer.
type value struct {
	t   testing.TB
	raw jsontext.Value
}

func read(t testing.TB, d *openapi.Document) value {
	t.Helper()
	var b bytes.Buffer
	if _, err := d.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return value{t, b.Bytes()}
}

// at is the part at a pointer in one line, "" where there is none.
func (v value) at(pointer string) string {
	v.t.Helper()
	var whole any
	if err := json.Unmarshal(v.raw, &whole); err != nil {
		v.t.Fatal(err)
	}
	for token := range jsontext.Pointer(pointer).Tokens() {
		switch part := whole.(type) {
		case map[string]any:
			whole = part[token]
		case []any:
			whole = part[token[0]-'0']
		default:
			return ""
		}
	}
	if whole == nil {
		return ""
	}
	b, err := json.Marshal(whole, json.Deterministic(true))
	if err != nil {
		v.t.Fatal(err)
	}
	return string(b)
}

// is expects parts of the document: JSON by pointers.
func (v value) is(want map[string]string) {
	v.t.Helper()
	for pointer, text := range want {
		if got := v.at(pointer); got != text {
			v.t.Errorf("%s is\n\t%s, want\n\t%s", pointer, got, text)
		}
	}
}

func (v value) operations() (all []string) {
	var d struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(v.raw, &d); err != nil {
		v.t.Fatal(err)
	}
	for path, item := range d.Paths {
		for method, op := range item {
			all = append(all, method+" "+path+" "+op.OperationID)
		}
	}
	slices.Sort(all)
	return all
}
