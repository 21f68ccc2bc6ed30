package documents_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/wsx/internal/documents"
)

type point struct {
	X int `json:"x"`
	Y int `json:"y,omitzero"`
}

// broken describes itself by what is not JSON.
type broken struct{}

func (broken) JSONSchema() jsontext.Value { return jsontext.Value("{") }

func decoded(t *testing.T, document jsontext.Value, err error) (all map[string]any) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(document, &all); err != nil {
		t.Fatalf("%s: %v", document, err)
	}
	return all
}

func at(v any, path ...string) any {
	for _, name := range path {
		members, _ := v.(map[string]any)
		v = members[name]
	}
	return v
}

func TestOpenRPC_TakesParamsApart(t *testing.T) {
	number, points := reflect.TypeFor[int](), reflect.TypeFor[point]()
	methods := []documents.Method{
		{
			Name: "none", Kind: "notification", In: reflect.TypeFor[struct{}](),
			ByPosition: []string{},
		},
		{
			Name: "move", Kind: "request", Doc: "moves", In: points, Out: points,
			ByPosition: []string{"y", "x"},
		},
		{Name: "named", Kind: "request", In: points, Out: reflect.TypeFor[struct{}]()},
		{Name: "single", Kind: "stream", In: number, Out: number, Item: points, Single: true},
		{Name: "list", Kind: "request", In: reflect.TypeFor[[]int](), Out: number},
	}
	text, err := documents.OpenRPC(&documents.Info{Title: "T", Version: "1", Doc: "D"}, methods)
	doc := decoded(t, text, err)
	slices.Reverse(methods)
	again, err := documents.OpenRPC(&documents.Info{Title: "T", Version: "1", Doc: "D"}, methods)
	if err != nil || string(again) != string(text) {
		t.Errorf("another order gives another document: %v", err)
	}
	got := map[string]string{}
	list, _ := doc["methods"].([]any)
	for _, m := range list {
		var names []string
		params, _ := at(m, "params").([]any)
		for _, p := range params {
			name, _ := at(p, "name").(string)
			names = append(names, name)
		}
		name, _ := at(m, "name").(string)
		structure, _ := at(m, "paramStructure").(string)
		got[name] = structure + " " + strings.Join(names, ",")
	}
	want := map[string]string{
		"none": "either ", "move": "either y,x", "named": "by-name x,y",
		"single": "by-position params", "list": " ",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if !reflect.DeepEqual(doc["info"],
		map[string]any{"title": "T", "version": "1", "description": "D"}) {
		t.Errorf("info: %v", doc["info"])
	}
	if at(doc, "components", "schemas", "point") == nil {
		t.Errorf("no schema of point: %v", doc["components"])
	}
	_, err = documents.OpenRPC(&documents.Info{},
		[]documents.Method{{Name: "m", In: reflect.TypeFor[broken]()}})
	if err == nil {
		t.Error("a schema that is not JSON was taken")
	}
}

func TestAsyncAPI_GivesEachPatternAnAddress(t *testing.T) {
	text, err := documents.AsyncAPI(&documents.Info{}, []documents.Channel{
		{Pattern: "room.*.>", Doc: "of rooms", Payload: reflect.TypeFor[point]()},
		{Pattern: "room.token1.rest"},
		{Pattern: "a:b@c"},
	})
	doc := decoded(t, text, err)
	for id, want := range map[string][2]string{
		"room.token1.rest":   {"room.*.>", "room.{token1}.{rest}"},
		"room.token1.rest-2": {"room.token1.rest", "room.token1.rest"},
		"a_b_c":              {"a:b@c", "a:b@c"},
	} {
		c := at(doc, "channels", id)
		if at(c, "x-wsx-pattern") != want[0] || at(c, "address") != want[1] {
			t.Errorf("%s: %v", id, c)
		}
		if at(doc, "operations", id, "channel", "$ref") != "#/channels/"+id {
			t.Errorf("%s: no operation", id)
		}
	}
	if at(doc, "channels", "room.token1.rest", "description") != "of rooms" ||
		at(doc, "info", "title") != "WSX API" || at(doc, "info", "version") != "0.0.0" {
		t.Errorf("%s", text)
	}
}

func TestEndpoints_SayWhatTheyAsk(t *testing.T) {
	if e := documents.WebSocket(false); e.Auth != 0 ||
		slices.Contains(e.Errors, http.StatusUnauthorized) {
		t.Errorf("a server without an Authenticator: %+v", e)
	}
	if e := documents.WebSocket(true); e.Auth != describe.BearerOptional ||
		!slices.Contains(e.Errors, http.StatusUnauthorized) {
		t.Errorf("a server with an Authenticator: %+v", e)
	}
	e := documents.SSE()
	errors := len(e.Errors)
	documents.Authenticated(true)(&e)
	documents.Authenticated(false)(&e)
	if e.Auth != describe.Bearer || len(e.Errors) <= errors {
		t.Errorf("events for those who have a token: %+v", e)
	}
	for _, media := range append(documents.JSONRPC().Body,
		documents.JSONRPC().Responses[0].Body...) {
		if schema, ok := any(media.Schema).(jsontext.Value); !ok || !schema.IsValid() {
			t.Errorf("%s", media.Schema)
		}
	}
}
