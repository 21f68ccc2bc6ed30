package problem_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/problem"
)

// The schema names every member that a problem writes, and requires those that each has.
func TestError_JSONSchema(t *testing.T) {
	e := &problem.Error{
		Status: 409, Code: "C", Type: "urn:x", Title: "T", Detail: "D", Instance: "/i",
		RetryAfter: time.Second,
		Fields:     []problem.Field{{In: "query", Pointer: "/a", Detail: "x"}},
		Extensions: map[string]any{"request_id": "r"},
	}
	var s struct {
		Properties map[string]struct {
			Items struct {
				Properties map[string]any `json:"properties"`
			} `json:"items"`
		} `json:"properties"`
		Required []string `json:"required"`
	}
	if err := json.Unmarshal(e.JSONSchema(), &s); err != nil {
		t.Fatal(err)
	}
	members := func(e *problem.Error) (all map[string]any) {
		b, err := json.Marshal(e)
		if err == nil {
			err = json.Unmarshal(b, &all)
		}
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	whole := members(e)
	for name := range whole {
		if _, ok := s.Properties[name]; !ok {
			t.Errorf("no property %s", name)
		}
	}
	if len(whole) != len(s.Properties) {
		t.Errorf("%d members, %d properties", len(whole), len(s.Properties))
	}
	for name := range whole["errors"].([]any)[0].(map[string]any) {
		if s.Properties["errors"].Items.Properties[name] == nil {
			t.Errorf("no property %s of a field", name)
		}
	}
	least := members(&problem.Error{})
	if len(least) != len(s.Required) {
		t.Errorf("%v are always there, %q required", least, s.Required)
	}
	for _, name := range s.Required {
		if least[name] == nil {
			t.Errorf("%s is not always there", name)
		}
	}
}
