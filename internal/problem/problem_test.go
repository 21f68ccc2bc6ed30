package problem_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/problem"
)

func TestWrite_Shape(t *testing.T) {
	cases := map[string]struct {
		in     problem.Problem
		status int
		body   string
	}{
		"minimal":           {problem.Problem{Status: 404}, 404, `{"title":"Not Found","status":404}`},
		"all members":       {problem.Problem{Type: "urn:x", Title: "T", Status: 409, Detail: "D", Instance: "/i"}, 409, `{"type":"urn:x","title":"T","status":409,"detail":"D","instance":"/i"}`},
		"extensions on top": {problem.Problem{Status: 422, Extensions: map[string]any{"b": 1, "a": []string{"x"}}}, 422, `{"title":"Unprocessable Entity","status":422,"a":["x"],"b":1}`},
		"reserved names":    {problem.Problem{Status: 400, Extensions: map[string]any{"status": 200, "type": "x"}}, 400, `{"title":"Bad Request","status":400}`},
		"no error status":   {problem.Problem{Status: 200}, 500, `{"title":"Internal Server Error","status":500}`},
		"zero":              {problem.Problem{}, 500, `{"title":"Internal Server Error","status":500}`},
		"unencodable":       {problem.Problem{Status: 400, Extensions: map[string]any{"f": func() {}}}, 400, `{"title":"Bad Request","status":400}`},
		"bad UTF-8":         {problem.Problem{Status: 400, Detail: "a\xff"}, 400, "{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"a\ufffd\"}"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			w.Header().Set("ETag", `"x"`)
			problem.Write(w, httptest.NewRequest("GET", "/", nil), c.in)
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Body, c.status, c.body)
			}
			if w.Header().Get("Content-Type") != problem.ContentType || w.Header().Get("ETag") != "" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
}

func TestWrite_HeadHasNoBody(t *testing.T) {
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequest(http.MethodHead, "/", nil), problem.Problem{Status: 404})
	if w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("body %q, headers %v", w.Body, w.Header())
	}
}
