package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

type (
	tree struct {
		Name     string    `json:"name"`
		At       time.Time `json:"at"`
		Children []tree    `json:"children"`
		Parent   *tree     `json:"parent"`
	}
	open struct {
		Known int            `json:"known"`
		Rest  map[string]int `json:",embed"`
	}
	first  struct{ A, B int16 }
	second struct {
		Z string `json:"z"`
		first
		C []byte `json:"c"`
	}
	stamp struct{ text string }
)

func (s stamp) MarshalText() ([]byte, error)        { return []byte(s.text), nil }
func (s *stamp) UnmarshalText(b []byte) (err error) { s.text = string(b); return nil }

// documents is the answer of wsx.describe.
type documents struct {
	OpenRPC  jsontext.Value `json:"openrpc"`
	AsyncAPI jsontext.Value `json:"asyncapi"`
}

// returns registers a method that answers its params.
func returns[T any](d *wsx.Dispatcher, name string) {
	wsx.Handle(d, name, func(_ context.Context, in T) (T, error) { return in, nil })
}

// describable is a dispatcher with params of every kind.
func describable() *wsx.Dispatcher {
	d := wsx.NewDispatcher()
	returns[tree](d, "tree")
	returns[*tree](d, "pointer")
	returns[open](d, "open")
	returns[second](d, "embedded")
	returns[[]tree](d, "list")
	returns[[2]int](d, "pair")
	returns[map[string]tree](d, "map")
	returns[int8](d, "number")
	returns[stamp](d, "text")
	returns[jsontext.Value](d, "raw")
	returns[any](d, "any")
	returns[struct{}](d, "nothing")
	wsx.HandleNotify(d, "told", func(context.Context, tree) error { return nil })
	wsx.HandleStream(d, "walk",
		func(_ context.Context, in tree, _ *struct{}) iter.Seq2[tree, error] {
			return func(yield func(tree, error) bool) { yield(in, nil) }
		})
	d.Describe("tree", "Grows a tree.")
	return d
}

func describableHub() *wsx.Hub {
	hub := wsx.NewHub(nil)
	hub.Configure("trees.*.>",
		&wsx.ChannelOptions{Doc: "What grows.", Payload: reflect.TypeFor[tree]()})
	hub.Configure("trees.token1.rest", nil)
	hub.Configure("a:b@c", &wsx.ChannelOptions{Payload: reflect.TypeFor[[]int]()})
	hub.Configure("*.x.*", nil)
	return hub
}

type object = map[string]any

func parse(t *testing.T, v jsontext.Value) (doc object) {
	t.Helper()
	if err := json.Unmarshal(v, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// refs calls f with every reference in a document.
func refs(v any, f func(string)) {
	switch v := v.(type) {
	case object:
		if ref, ok := v["$ref"].(string); ok {
			f(ref)
		}
		for _, member := range v {
			refs(member, f)
		}
	case []any:
		for _, element := range v {
			refs(element, f)
		}
	}
}

// pointed is what a reference within a document points to, nil when there is nothing.
func pointed(doc object, ref string) any {
	var v any = doc
	for name := range jsontext.Pointer(strings.TrimPrefix(ref, "#")).Tokens() {
		members, _ := v.(object)
		v = members[name]
	}
	return v
}

func wholeReferences(t *testing.T, doc object) {
	t.Helper()
	n := 0
	refs(doc, func(ref string) {
		n++
		if !strings.HasPrefix(ref, "#/") || pointed(doc, ref) == nil {
			t.Errorf("%s leads nowhere", ref)
		}
	})
	if n == 0 {
		t.Error("there are no references")
	}
}

// example is a value that satisfies a schema of a document.
func example(doc object, s any, depth int) any {
	members, _ := s.(object)
	if ref, ok := members["$ref"].(string); ok {
		return example(doc, pointed(doc, ref), depth)
	}
	if either, ok := members["anyOf"].([]any); ok {
		if depth > 4 {
			return nil
		}
		return example(doc, either[0], depth+1)
	}
	switch members["type"] {
	case "object":
		value := object{}
		properties, _ := members["properties"].(object)
		for name, property := range properties {
			value[name] = example(doc, property, depth+1)
		}
		if more, ok := members["additionalProperties"].(object); ok && depth < 4 {
			value["extra"] = example(doc, more, depth+1)
		}
		return value
	case "array":
		n, ok := members["minItems"].(float64)
		if !ok && depth < 4 {
			n = 2
		}
		value := []any{}
		for range int(n) {
			value = append(value, example(doc, members["items"], depth+1))
		}
		return value
	case "string":
		if members["format"] == "date-time" {
			return "2026-01-02T03:04:05Z"
		}
		return "abcd" // base64 too
	case "integer":
		if least, ok := members["minimum"].(float64); ok {
			return least
		}
		return 7
	}
	return nil
}

func methodsOf(doc object) map[string]object {
	all := make(map[string]object)
	for _, m := range doc["methods"].([]any) {
		all[m.(object)["name"].(string)] = m.(object)
	}
	return all
}

func TestDescribe_OpenRPCIsWhole(t *testing.T) {
	d := describable()
	openRPC, _, err := d.Documents(&wsx.DescribeOptions{Title: "Trees", Version: "2.1.0"})
	if err != nil {
		t.Fatal(err)
	}
	doc := parse(t, openRPC)
	if doc["openrpc"] != "1.3.2" ||
		!reflect.DeepEqual(doc["info"], object{"title": "Trees", "version": "2.1.0"}) {
		t.Errorf("got %v, %v", doc["openrpc"], doc["info"])
	}
	wholeReferences(t, doc)
	methods := methodsOf(doc)
	if len(methods) != len(d.Methods()) {
		t.Errorf("%d methods of %d", len(methods), len(d.Methods()))
	}
	for _, m := range d.Methods() {
		got := methods[m.Name]
		if got == nil {
			t.Fatalf("%s is missing", m.Name)
		}
		_, isArray := got["params"].([]any)
		result, hasResult := got["result"].(object)
		_, hasItem := got["x-wsx-item"]
		if !isArray || got["x-wsx-kind"] != m.Kind || got["x-wsx-params"] == nil ||
			hasResult != (m.Out != nil) || hasItem != (m.Item != nil) || hasResult &&
			(result["name"] == nil || result["schema"] == nil) {
			t.Errorf("%s: %v", m.Name, got)
		}
	}
	if methods["tree"]["description"] != "Grows a tree." {
		t.Error("the text is missing")
	}
	if got := pointed(methods["nothing"], "#/result/schema/type"); got != "null" {
		t.Errorf("no result is described as %v", got)
	}
}

func TestDescribe_MethodsTakeWhatIsDescribed(t *testing.T) {
	d := describable()
	openRPC, _, err := d.Documents(nil)
	if err != nil {
		t.Fatal(err)
	}
	doc := parse(t, openRPC)
	post := wsx.JSONRPC(d, nil)
	call := func(t *testing.T, name string, params any) string {
		t.Helper()
		body, err := json.Marshal(object{
			"jsonrpc": "2.0", "id": 1, "method": name,
			"params": params,
		}, json.Deterministic(true))
		if err != nil {
			t.Fatal(err)
		}
		return answerTo(t, post, string(body))
	}
	for name, m := range methodsOf(doc) {
		t.Run(name, func(t *testing.T) {
			params := example(doc, m["x-wsx-params"], 0)
			encoded, err := json.Marshal(params)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Call(t.Context(), name, encoded); err != nil {
				t.Errorf("%s: %v", encoded, err)
			}
			named, ordered := object{}, []any{}
			for _, p := range m["params"].([]any) {
				value := example(doc, p.(object)["schema"], 1)
				named[p.(object)["name"].(string)] = value
				ordered = append(ordered, value)
			}
			structure, described := m["paramStructure"]
			if described != (len(ordered) > 0 || name == "nothing" || name == "map") {
				t.Errorf("structure %v of params %v", structure, ordered)
			}
			if structure == "by-name" || structure == "either" {
				if got := call(t, name, named); strings.Contains(got, `"error"`) {
					t.Errorf("%v: %s", named, got)
				}
			}
			if structure == "by-position" || structure == "either" {
				byName := call(t, name, named)
				if got := call(t, name, ordered); strings.Contains(got, `"error"`) ||
					structure == "either" && got != byName {
					t.Errorf("%v: %s, by name %s", ordered, got, byName)
				}
			}
		})
	}
	if got := call(t, "tree", object{"nme": "oak"}); !strings.Contains(got, "INVALID_PARAMS") {
		t.Errorf("a member that is not described: %s", got)
	}
}

func answerTo(t *testing.T, h http.Handler, body string) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/rpc",
		strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Body.String()
}

func TestDescribe_AsyncAPIIsWhole(t *testing.T) {
	_, asyncAPI, err := wsx.NewDispatcher().Documents(
		&wsx.DescribeOptions{Hub: describableHub(), Doc: "Trees."})
	if err != nil {
		t.Fatal(err)
	}
	doc := parse(t, asyncAPI)
	if doc["asyncapi"] != "3.0.0" ||
		!reflect.DeepEqual(doc["info"],
			object{"title": "WSX API", "version": "0.0.0", "description": "Trees."}) {
		t.Errorf("got %v, %v", doc["asyncapi"], doc["info"])
	}
	wholeReferences(t, doc)
	want := map[string]string{
		"trees.*.>": "trees.{token1}.{rest}", "trees.token1.rest": "trees.token1.rest",
		"a:b@c": "a:b@c", "*.x.*": "{token1}.x.{token2}",
	}
	got := make(map[string]string)
	for id, c := range doc["channels"].(object) {
		channel := c.(object)
		address := channel["address"].(string)
		got[channel["x-wsx-pattern"].(string)] = address
		parameters, _ := channel["parameters"].(object)
		for name := range parameters {
			address = strings.ReplaceAll(address, "{"+name+"}", "")
		}
		if strings.ContainsAny(address, "{}") {
			t.Errorf("%s has parameters that are not described", address)
		}
		operation := doc["operations"].(object)[id].(object)
		if operation["action"] != "send" ||
			!reflect.DeepEqual(pointed(doc, pointed(operation, "#/channel/$ref").(string)), c) {
			t.Errorf("operation %v of %s", operation, id)
		}
		if pointed(channel, "#/messages/event/payload") == nil {
			t.Errorf("%s has no message", id)
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	payload, err := json.Marshal(tree{Children: []tree{{Name: "leaf"}}})
	if err != nil {
		t.Fatal(err)
	}
	members := slices.Sorted(
		maps.Keys(pointed(doc, "#/components/schemas/tree/properties").(object)))
	if encoded := slices.Sorted(maps.Keys(parse(t, payload))); !slices.Equal(members, encoded) {
		t.Errorf("the payload has %v, described are %v", encoded, members)
	}
}

func TestDescribe_IsOffUnlessAskedFor(t *testing.T) {
	d := describable()
	for _, name := range []string{"wsx.describe", "rpc.discover"} {
		want := jsonrpcFault("1", -32601, "Method not found", "METHOD_NOT_FOUND",
			`{"method":"`+name+`"}`)
		if got := answerTo(t, wsx.JSONRPC(d, nil), jsonrpc("1", name, "")); got != want {
			t.Errorf("by POST: %s", got)
		}
		c := dialDescribing(t, d, nil, false)
		_, err := wsxclient.Call[jsontext.Value](t.Context(), c, name, nil)
		if e, ok := errors.AsType[*wsx.Error](err); !ok || e.Code != wsx.CodeMethodNotFound {
			t.Errorf("on the socket: %v", err)
		}
	}
}

func dialDescribing(t *testing.T, d *wsx.Dispatcher, opts *wsx.ServerOptions,
	asJSONRPC bool,
) *wsxclient.Client {
	t.Helper()
	server := wsx.NewServer(d, opts)
	srv := httptest.NewServer(server)
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	return dialTest(t, srv.URL, &wsxclient.Options{JSONRPC: asJSONRPC})
}

func TestDescribe_AnswersAlikeEverywhere(t *testing.T) {
	d, hub := describable(), describableHub()
	openRPC, asyncAPI, err := d.Documents(&wsx.DescribeOptions{Hub: hub})
	if err != nil {
		t.Fatal(err)
	}
	same := func(where string, got documents, err error) {
		t.Helper()
		if err != nil || string(got.OpenRPC) != string(openRPC) ||
			string(got.AsyncAPI) != string(asyncAPI) {
			t.Errorf("%s: %v, %s", where, err, got)
		}
	}
	post := wsx.JSONRPC(d, &wsx.JSONRPCOptions{Describe: &wsx.DescribeOptions{Hub: hub}})
	var answer struct{ Result documents }
	err = json.Unmarshal([]byte(answerTo(t, post, jsonrpc("1", "wsx.describe", ""))), &answer,
		json.MatchCaseInsensitiveNames(true))
	same("POST", answer.Result, err)
	opts := &wsx.ServerOptions{Hub: hub, Describe: &wsx.DescribeOptions{}}
	for _, asJSONRPC := range []bool{false, true} {
		c := dialDescribing(t, d, opts, asJSONRPC)
		got, err := wsxclient.Call[documents](t.Context(), c, "wsx.describe", nil)
		same(fmt.Sprintf("JSON-RPC %v", asJSONRPC), got, err)
		document, err := wsxclient.Call[jsontext.Value](t.Context(), c, "rpc.discover", nil)
		if err != nil || string(document) != string(openRPC) {
			t.Errorf("rpc.discover: %v, %s", err, document)
		}
	}
}

func TestDescribe_TellsOfWhatIsNew(t *testing.T) {
	d, hub := describable(), describableHub()
	c := dialDescribing(t, d,
		&wsx.ServerOptions{Hub: hub, Describe: &wsx.DescribeOptions{Title: "Live"}}, false)
	check := func() {
		t.Helper()
		openRPC, asyncAPI, err := d.Documents(&wsx.DescribeOptions{Hub: hub, Title: "Live"})
		if err != nil {
			t.Fatal(err)
		}
		got, err := wsxclient.Call[documents](t.Context(), c, "wsx.describe", nil)
		if err != nil || string(got.OpenRPC) != string(openRPC) ||
			string(got.AsyncAPI) != string(asyncAPI) {
			t.Errorf("%v, %s", err, got)
		}
	}
	check()
	returns[int](d, "late")
	check()
	hub.Configure("late.>", nil)
	check()
	d.Describe("late", "Better than never.")
	check()
}

func TestDescribe_HidesAndAuthorizes(t *testing.T) {
	type secret struct{ Canary int }
	d, hub := describable(), describableHub()
	returns[secret](d, "admin.secret")
	hub.Configure("admin.>", &wsx.ChannelOptions{Payload: reflect.TypeFor[secret]()})
	c := dialDescribing(t, d, &wsx.ServerOptions{Hub: hub, Describe: &wsx.DescribeOptions{
		Hide:      func(name string) bool { return strings.HasPrefix(name, "admin.") },
		Authorize: func(context.Context) error { return nil },
	}}, false)
	got, err := wsxclient.Call[jsontext.Value](t.Context(), c, "wsx.describe", nil)
	if err != nil || strings.Contains(string(got), "admin") ||
		strings.Contains(string(got), "secret") || strings.Contains(string(got), "Canary") {
		t.Errorf("%v, %s", err, got)
	}
	for refusal, code := range map[error]string{
		errors.New("canary-7f3a"):                             wsx.CodePermissionDenied,
		wsx.NewError(wsx.CodeUnauthenticated, "log in first"): wsx.CodeUnauthenticated,
	} {
		c := dialDescribing(t, d,
			&wsx.ServerOptions{
				Describe: &wsx.DescribeOptions{Authorize: func(context.Context) error {
					return refusal
				}},
			}, false)
		_, err := wsxclient.Call[jsontext.Value](t.Context(), c, "wsx.describe", nil)
		if e, ok := errors.AsType[*wsx.Error](err); !ok || e.Code != code ||
			strings.Contains(e.Message, "canary") {
			t.Errorf("%v for %v", err, refusal)
		}
	}
}
