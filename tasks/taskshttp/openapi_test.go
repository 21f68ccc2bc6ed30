package taskshttp_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// TestHandler_OpenAPI: every path of the document is served with its method, every reference leads
// somewhere, and every operation has what OpenAPI 3.1 requires.
func TestHandler_OpenAPI(t *testing.T) {
	rig := newHTTPRig(t, nil, nil)
	r := rig.do("GET", "/openapi.json", "")
	var doc map[string]any
	if err := json.Unmarshal([]byte(r.body), &doc); err != nil || r.status != 200 {
		t.Fatalf("%d %v", r.status, err)
	}
	if doc["openapi"] != "3.1.1" ||
		!reflect.DeepEqual(doc["info"], map[string]any{"title": "Tasks", "version": "1"}) {
		t.Errorf("%v %v", doc["openapi"], doc["info"])
	}
	seen := map[string]bool{}
	for path, item := range doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			op := op.(map[string]any)
			id, _ := op["operationId"].(string)
			if id == "" || seen[id] || len(op["responses"].(map[string]any)) < 2 {
				t.Errorf("%s %s: %v", method, path, op)
			}
			seen[id] = true
			inPath := false
			for _, p := range anySlice(op["parameters"]) {
				inPath = inPath || p.(map[string]any)["in"] == "path"
			}
			if inPath != strings.Contains(path, "{") {
				t.Errorf("%s %s: parameter in the path: %v", method, path, inPath)
			}
			if path == "/events" && method == "get" {
				continue // it would wait
			}
			got := rig.do(strings.ToUpper(method), strings.ReplaceAll(path, "{id}", "none"), `{}`)
			if got.status == 405 || got.status == 415 || got.status >= 500 {
				t.Errorf("%s %s: %d", method, path, got.status)
			}
		}
	}
	for _, want := range []string{
		"submit.sum", "submit.hold", "submit.events", "listTasks",
		"getTask", "getResult", "cancelTask", "retryTask", "watchTask", "watchTasks",
	} {
		if !seen[want] {
			t.Errorf("no operation %s", want)
		}
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok && resolve(doc, ref) == nil {
				t.Errorf("%s leads nowhere", ref)
			}
			for _, member := range v {
				walk(member)
			}
		case []any:
			for _, element := range v {
				walk(element)
			}
		}
	}
	walk(doc)
	body := resolve(doc, "#/paths/~1sum/post/requestBody/content/application~1json/schema")
	if ref, ok := body.(map[string]any)["$ref"].(string); ok {
		body = resolve(doc, ref)
	}
	if properties := body.(map[string]any)["properties"].(map[string]any); properties["a"] == nil ||
		properties["b"] == nil {
		t.Errorf("the payload of sum: %v", body)
	}
}

// resolve follows a JSON Pointer in a fragment (RFC 6901 section 6).
func resolve(doc any, ref string) any {
	for _, token := range strings.Split(strings.TrimPrefix(ref, "#/"), "/") {
		m, ok := doc.(map[string]any)
		if !ok {
			return nil
		}
		doc = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(token)]
	}
	return doc
}

func anySlice(v any) []any {
	s, _ := v.([]any)
	return s
}
