package input_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/input"
)

func TestContentType_IsJudged(t *testing.T) {
	for value, want := range map[string]struct{ json, preflight bool }{
		"":                                  {false, false},
		"application/json":                  {true, true},
		"application/json; charset=UTF-8":   {true, true},
		"application/json; charset=latin1":  {false, true},
		"application/problem+json":          {true, true},
		"application/jsonp":                 {false, true},
		"image/png":                         {false, true},
		"text/plain":                        {false, false},
		"Text/Plain;x=application/json":     {false, false},
		"application/x-www-form-urlencoded": {false, false},
		"multipart/form-data; boundary=x":   {false, false},
		"application/json,text/plain":       {false, false},
		";":                                 {false, false},
	} {
		h := http.Header{}
		if value != "" {
			h.Set("Content-Type", value)
		}
		if got := input.IsJSON(h); got != want.json {
			t.Errorf("IsJSON(%q) = %v", value, got)
		}
		if got := input.NeedsPreflight(h); got != want.preflight {
			t.Errorf("NeedsPreflight(%q) = %v", value, got)
		}
	}
	two := http.Header{"Content-Type": {"application/json", "text/plain"}}
	if input.IsJSON(two) || input.NeedsPreflight(two) {
		t.Error("two media types were taken for one")
	}
}

func TestNestsDeeper(t *testing.T) {
	for body, want := range map[string]bool{
		"":                                     false,
		strings.Repeat("[", 3):                 false,
		strings.Repeat("[", 4):                 true,
		`{"a":{"b":{"c":1}}}`:                  false,
		`{"a":{"b":{"c":[]}}}`:                 true,
		strings.Repeat("[]", 100):              false,
		`["[[[[", "\"[[[[", "\\", [[1]], [2]]`: false,
		`["\\", [[[1]]]]`:                      true,
	} {
		if got := input.NestsDeeper([]byte(body), 3); got != want {
			t.Errorf("%s: %v", body, got)
		}
	}
}
