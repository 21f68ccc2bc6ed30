package problem_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/problem"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func TestWrite_Shape(t *testing.T) {
	cases := map[string]struct {
		in     error
		status int
		body   string
	}{
		"minimal": {
			&problem.Error{Status: 404}, 404,
			`{"title":"Not Found","status":404}`,
		},
		"all members": {
			&problem.Error{
				Type: "urn:x", Title: "T", Status: 409, Detail: "D", Instance: "/i",
				Code: "C",
			}, 409,
			`{"type":"urn:x","title":"T","status":409,"detail":"D","instance":"/i","code":"C"}`,
		},
		"fields": {
			problem.Field{Pointer: "/n", Detail: "is odd"},
			422,
			`{"title":"Unprocessable Entity","status":422,"detail":"The request has invalid ` +
				`fields.","errors":[{"in":"body","pointer":"/n","detail":"is odd"}]}`,
		},
		"extensions on top": {
			&problem.Error{Status: 422, Extensions: map[string]any{"b": 1, "a": []string{"x"}}},
			422, `{"title":"Unprocessable Entity","status":422,"a":["x"],"b":1}`,
		},
		"reserved names": {
			&problem.Error{
				Status:     400,
				Extensions: map[string]any{"status": 200, "type": "x", "a": 1},
			}, 400,
			`{"title":"Bad Request","status":400,"a":1}`,
		},
		"wait": {
			problem.TooManyRequests(1500*time.Millisecond, ""), 429,
			`{"title":"Too Many Requests","status":429,"retry_after":1.5}`,
		},
		"the last of 4xx": {
			&problem.Error{Status: 498, Title: "T"}, 498,
			`{"title":"T","status":498}`,
		},
		"unencodable": {
			&problem.Error{Status: 400, Extensions: map[string]any{"f": func() {}}}, 400,
			`{"title":"Bad Request","status":400}`,
		},
		"unencodable beside bad UTF-8": {
			&problem.Error{Status: 400, Detail: "\xff", Extensions: map[string]any{"f": func() {}}},
			400,
			"{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"\ufffd\"}",
		},
		"bad UTF-8 in an extension": {
			&problem.Error{Status: 400, Extensions: map[string]any{"x": "\xff"}}, 400,
			"{\"title\":\"Bad Request\",\"status\":400,\"x\":\"\ufffd\"}",
		},
		"too large": {
			fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 5}), 413,
			`{"title":"Request Entity Too Large","status":413,"detail":"The body is limited to ` +
				`5 bytes."}`,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			planned := []string{"ETag", "Content-Encoding", "Last-Modified", "Content-Disposition"}
			for _, name := range planned {
				w.Header().Set(name, "x")
			}
			problem.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), c.in)
			if w.Code != c.status || w.Body.String() != c.body {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Body, c.status, c.body)
			}
			h := w.Header()
			if h.Get("Content-Type") != problem.ContentType ||
				h.Get("X-Content-Type-Options") != "nosniff" ||
				h.Get("Cache-Control") != "no-store" {
				t.Errorf("headers %v", h)
			}
			for _, name := range planned {
				if h.Get(name) != "" {
					t.Errorf("%s of the body that was planned is still there", name)
				}
			}
			if wait := h.Get("Retry-After"); (name == "wait") != (wait == "2") {
				t.Errorf("Retry-After %q", wait)
			}
		})
	}
}

func TestWrite_HeadHasNoBody(t *testing.T) {
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequest(http.MethodHead, "/", nil), problem.NotFound(""))
	if w.Body.Len() != 0 || w.Header().Get("Content-Length") == "" {
		t.Errorf("body %q, headers %v", w.Body, w.Header())
	}
}

// own is an error of another package that says what its caller may know.
type own struct{ p *problem.Error }

func (own) Error() string             { return "private" }
func (e own) Problem() *problem.Error { return e.p }

// over is one that wraps another error.
type over struct {
	own
	error
}

func (e over) Error() string { return "private" }
func (e over) Unwrap() error { return e.error }

func TestOf_FindsWhatIsPublic(t *testing.T) {
	found, none := problem.Conflict("taken"), (*problem.Error)(nil)
	private := errors.New("password")
	for name, c := range map[string]struct {
		err  error
		want *problem.Error
	}{
		"nothing":            {nil, nil},
		"private":            {private, nil},
		"itself":             {found, found},
		"wrapped":            {fmt.Errorf("private: %w", found), found},
		"joined":             {errors.Join(private, found), found},
		"an Error over it":   {own{found}, found},
		"one with none":      {own{nil}, nil},
		"one with none over": {over{own{nil}, found}, found},
		"a nil one":          {none, nil},
		"before its fields":  {errors.Join(problem.Field{Pointer: "/a"}, found), found},
		"status alone":       {statusError(418), nil},
		"context's deadline": {context.DeadlineExceeded, nil},
	} {
		if got := problem.Of(c.err); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	joined := errors.Join(problem.Field{Pointer: "/a", Detail: "one"}, private,
		fmt.Errorf("x: %w", &problem.Field{In: "query", Pointer: "/b", Detail: "two"}))
	want := []problem.Field{
		{In: "body", Pointer: "/a", Detail: "one"},
		{In: "query", Pointer: "/b", Detail: "two"},
	}
	if got := problem.Of(joined); got.Status != 422 || !reflect.DeepEqual(got.Fields, want) ||
		!errors.Is(got, private) {
		t.Errorf("%+v", got)
	}
}

type statusError int

func (e statusError) Error() string   { return "private" }
func (e statusError) StatusCode() int { return int(e) }

func TestFrom_TellsTheStatusOfAnythingElse(t *testing.T) {
	for err, want := range map[error]int{
		statusError(418): 418, statusError(200): 500, context.DeadlineExceeded: 504,
		errors.New("x"): 500, nil: 500, problem.NotFound(""): 404,
	} {
		if got := problem.From(err); got.StatusCode() != want || got.Detail != "" {
			t.Errorf("%v: %v", err, got)
		}
	}
	if got := problem.OfValidation(errors.New("password")); got.Status != 422 ||
		got.Detail != "The request is not valid." {
		t.Errorf("%v", got)
	}
}

func TestError_TravelsAsJSON(t *testing.T) {
	for _, e := range []*problem.Error{
		{Status: 404},
		{
			Status: 409, Code: "C", Type: "urn:x", Title: "T", Detail: "D", Instance: "/i",
			RetryAfter: 1001 * time.Millisecond,
			Fields:     []problem.Field{{In: "query", Pointer: "/a", Detail: "x"}},
			Extensions: map[string]any{
				"a": "b", "n": 1.0, "large": []any{int64(1<<53 + 1)},
				"z": nil, "huge": jsontext.Value("[1e999]"),
			},
		},
		{Status: 400, Extensions: map[string]any{"errors": []any{"of another shape"}}},
	} {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		var got problem.Error
		if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(&got, e) {
			t.Errorf("%s: %+v, %v", b, got, err)
		}
	}
	var got problem.Error
	for _, bad := range []string{`[]`, `{"status":"x"}`} {
		if json.Unmarshal([]byte(bad), &got) == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestError_EncodeLeavesOutWhatJSONCannotHold(t *testing.T) {
	e := &problem.Error{
		Status: 400, Detail: "a\xff",
		Extensions: map[string]any{"f": func() {}, "x": "\xff"},
	}
	if got, want := string(e.Encode()),
		"{\"title\":\"Bad Request\",\"status\":400,\"detail\":\"a\ufffd\",\"x\":\"\ufffd\"}"; got !=
		want {
		t.Errorf("%s, want %s", got, want)
	}
	if len(e.Extensions) != 2 {
		t.Error("the error was changed")
	}
	for want, e := range map[string]*problem.Error{
		`{"title":"Internal Server Error","status":500}`: {
			Status:     200,
			Extensions: map[string]any{"status": 1, "type": "x", "retry_after": 2},
		},
		`{"title":"Bad Request","status":400}`: {
			Status:     400,
			Extensions: map[string]any{"a\xff": 1, "a\xfe": 2},
		},
		`{"title":"T","status":599}`: {Status: 599, Title: "T"},
		`{"title":"Bad Request","status":400,"a":["x"],"b":1,"c":{"d":2}}`: {
			Status:     400,
			Extensions: map[string]any{"b": 1, "a": []string{"x"}, "c": map[string]int{"d": 2}},
		},
	} {
		if got := string(e.Encode()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestError_TextIsForLogs(t *testing.T) {
	e := &problem.Error{
		Status: 409, Code: "OUT", Detail: "None left.",
		Fields: []problem.Field{{Pointer: "/n", Detail: "is odd"}}, Err: errors.New("why"),
	}
	if got, want := e.Error(), "409 Conflict OUT: None left.; body /n: is odd: why"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	many := &problem.Error{Status: 422}
	for i := range 10 { // of which a line of the log takes eight
		many.Fields = append(many.Fields,
			problem.Field{Pointer: fmt.Sprint("/", i), Detail: "is odd"})
	}
	if got, want := many.Error(), "; body /7: is odd; and 2 more"; !strings.HasSuffix(got, want) {
		t.Errorf("%q, want %q at its end", got, want)
	}
}
