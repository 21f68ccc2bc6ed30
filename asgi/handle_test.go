package asgi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
)

type page struct {
	Limit int  `query:"limit"`
	Desc  bool `query:"desc"`
}

type Filter struct {
	Color string `query:"color"`
}

type level string

func (l *level) UnmarshalText(b []byte) error {
	if s := string(b); s != "low" && s != "high" {
		return errors.New(canary)
	}
	*l = level(b)
	return nil
}

type everything struct {
	page
	*Filter
	ID      int64         `path:"id"`
	Name    string        `path:"name"`
	U       uint8         `query:"u"`
	F       float32       `query:"f"`
	At      time.Time     `query:"at"`
	For     time.Duration `query:"for"`
	Level   level         `query:"level"`
	Tags    []string      `query:"tag"`
	Levels  []level       `query:"levels"`
	Opt     *int          `query:"opt"`
	OptTime *time.Time    `query:"opttime"`
	Accept  []string      `header:"accept"`
	Agent   string        `header:"user-agent"`
	Session string        `cookie:"sid"`
	ignored int
}

// get sends a GET with path values to a typed function that keeps what it was given.
func bindGet[In any](t *testing.T, target string, prepare func(*http.Request)) (in In,
	w *httptest.ResponseRecorder,
) {
	t.Helper()
	h := asgi.Handle(func(_ context.Context, got In) (struct{}, error) {
		in = got
		return struct{}{}, nil
	})
	r := httptest.NewRequest("GET", target, nil)
	r.SetPathValue("id", "7")
	r.SetPathValue("name", "n")
	if prepare != nil {
		prepare(r)
	}
	return in, serve(t, h, r)
}

func TestHandle_FillsFromEverywhere(t *testing.T) {
	var in everything
	h := asgi.Handle(func(_ context.Context, got everything) (struct{}, error) {
		in = got
		return struct{}{}, nil
	})
	r := httptest.NewRequest("GET",
		"/?limit=5&desc=1&color=red&u=255&f=1.5&at=2024-01-02T03:04:05Z&for=2s&level=low&tag=a&"+
			"tag=b&levels=high&opt=0&opttime=2024-01-02T03:04:05Z", nil)
	r.SetPathValue("id", "7")
	r.SetPathValue("name", "n")
	r.Header["Accept"] = []string{"a, b", "c"}
	r.Header.Set("User-Agent", "test")
	r.AddCookie(&http.Cookie{Name: "sid", Value: "s"})
	if w := serve(t, h, r); w.Code != 204 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	at := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	want := everything{
		page: page{5, true}, Filter: &Filter{"red"}, ID: 7, Name: "n", U: 255, F: 1.5, At: at,
		For: 2 * time.Second, Level: "low",
		Tags: []string{"a", "b"}, Levels: []level{"high"}, Opt: new(int), OptTime: &at,
		Accept: []string{"a", "b", "c"}, Agent: "test", Session: "s",
	}
	if !reflect.DeepEqual(in, want) {
		t.Errorf("got  %+v\nwant %+v", in, want)
	}
	if w := serve(t, h, httptest.NewRequest("GET", "/", nil)); w.Code != 422 {
		t.Errorf("status %d without path values", w.Code)
	}
}

func TestHandle_MissingIsZero(t *testing.T) {
	h := asgi.Handle(func(_ context.Context, in everything) (struct{}, error) {
		if in.Opt != nil || in.Tags != nil || in.Limit != 0 || in.Agent != "" || in.ignored != 0 {
			t.Errorf("got %+v", in)
		}
		return struct{}{}, nil
	})
	r := httptest.NewRequest("GET", "/", nil)
	r.SetPathValue("id", "7")
	if w := serve(t, h, r); w.Code != 204 {
		t.Errorf("status %d: %s", w.Code, w.Body)
	}
}

func TestHandle_NamesAllWrongFields(t *testing.T) {
	_, w := bindGet[everything](t,
		"/?u=256&f=x&at=y&for=z&level=mid&levels=low&levels=mid&desc=maybe&opt=q&color=a&color=b",
		func(r *http.Request) {
			r.SetPathValue("id", "x")
			r.Header["User-Agent"] = []string{"a", "b"}
		})
	want := `"errors":[` +
		`{"in":"query","pointer":"/desc","detail":"must be true or false"},` +
		`{"in":"query","pointer":"/color","detail":"must be given once"},` +
		`{"in":"path","pointer":"/id","detail":"must be an integer"},` +
		`{"in":"query","pointer":"/u","detail":"is out of range"},` +
		`{"in":"query","pointer":"/f","detail":"must be a finite number"},` +
		`{"in":"query","pointer":"/at","detail":"must be a time such as 2006-01-02T15:04:05Z ` +
		`(RFC 3339)"},` +
		`{"in":"query","pointer":"/for","detail":"must be a duration such as 1m30s"},` +
		`{"in":"query","pointer":"/level","detail":"has a wrong format"},` +
		`{"in":"query","pointer":"/levels/1","detail":"has a wrong format"},` +
		`{"in":"query","pointer":"/opt","detail":"must be an integer"},` +
		`{"in":"header","pointer":"/User-Agent","detail":"must be given once"}]`
	if w.Code != 422 || !strings.Contains(w.Body.String(), want) {
		t.Errorf("status %d\ngot  %s\nwant %s", w.Code, w.Body, want)
	}
	for _, target := range []string{"/?limit=%zz", "/?tag=%zz"} {
		if _, w := bindGet[everything](t, target, nil); w.Code != 400 {
			t.Errorf("status %d for %s", w.Code, target)
		}
	}
}

type change struct {
	ID   int    `path:"id" json:"id"`
	User string `header:"X-User"` // json/v2 would take "User" from the body
	Name string `json:"name"`
}

func TestHandle_BodyCannotSetWhatIsBoundElsewhere(t *testing.T) {
	h := asgi.Handle(func(_ context.Context, in change) (change, error) { return in, nil })
	for body, want := range map[string]string{
		`{"name":"x"}`: `{"id":7,"User":"","name":"x"}`,
		`{"name":"x","id":8}`: `"pointer":"/id","detail":"is not part of the body but ` +
			`of the path"`,
		`{"name":"x","User":"root"}`: `"pointer":"/User","detail":"is not part of the body but ` +
			`of the header"`,
		`{"name":"x","other":1}`: `"pointer":"/other","detail":"is not known here"`,
	} {
		r := post("application/json", body)
		r.SetPathValue("id", "7")
		if w := serve(t, h, r); !strings.Contains(w.Body.String(), want) || w.Code != 200 &&
			w.Code != 422 {
			t.Errorf("%s: status %d, %s", body, w.Code, w.Body)
		}
	}
}

func TestHandle_BodyIsWantedWhereItHasAMeaning(t *testing.T) {
	h := asgi.Handle(add)
	for _, c := range []struct {
		method, body string
		status       int
	}{
		{"GET", "", 200},
		{"HEAD", "", 200},
		{"DELETE", "", 200},
		{"POST", "", 400},
		{"PUT", "", 400},
		{"DELETE", `{"a":1}`, 200},
		{"DELETE", `{"c":1}`, 422},
	} {
		r := httptest.NewRequest(c.method, "/", strings.NewReader(c.body))
		r.Header.Set("Content-Type", "application/json")
		if w := serve(t, h, r); w.Code != c.status {
			t.Errorf("%s %s: status %d, want %d", c.method, c.body, w.Code, c.status)
		}
	}
	if _, w := bindGet[struct{}](t, "/", func(r *http.Request) { r.Method = "POST" }); w.Code !=
		204 {
		t.Errorf("status %d for a type without members", w.Code)
	}
	w := serve(t, h, chunked(post("application/json", "")))
	if w.Code != 400 || !strings.Contains(w.Body.String(), "empty") {
		t.Errorf("status %d, %s for an empty chunked body", w.Code, w.Body)
	}
}

func TestHandle_WholeBody(t *testing.T) {
	list := asgi.Handle(func(_ context.Context, in []int) (int, error) { return len(in), nil })
	if w := serve(t, list, post("application/json", "[1,2,3]")); w.Body.String() != "3" {
		t.Errorf("got %s", w.Body)
	}
	at := asgi.Handle(func(_ context.Context, in time.Time) (int, error) { return in.Year(), nil })
	if w := serve(t, at, post("application/json", `"2024-01-01T00:00:00Z"`)); w.Body.String() !=
		"2024" {
		t.Errorf("got %s", w.Body)
	}
	if w := serve(t, at, post("application/json", `"x"`)); w.Code != 422 ||
		!strings.Contains(w.Body.String(), "RFC 3339") {
		t.Errorf("got %s", w.Body)
	}
	pointer := asgi.Handle(func(_ context.Context, in *change) (string, error) {
		return in.Name, nil
	})
	for body, want := range map[string]string{`{"name":"x"}`: `"x"`, `null`: `""`} {
		r := post("application/json", body)
		r.SetPathValue("id", "1")
		if w := serve(t, pointer, r); w.Body.String() != want {
			t.Errorf("%s: got %s", body, w.Body)
		}
	}
	anything := asgi.Handle(func(_ context.Context, in any) (any, error) { return in, nil })
	if w := serve(t, anything, post("application/json", `{"a":[1]}`)); w.Body.String() !=
		`{"a":[1]}` {
		t.Errorf("got %s", w.Body)
	}
}

type validated struct {
	Fault string `json:"fault"`
}

func (v validated) Validate() error {
	one, two := asgi.FieldError{Pointer: "/a", Detail: "one"}, &asgi.FieldError{
		In:      "query",
		Pointer: "/b", Detail: "two",
	}
	switch v.Fault {
	case "field":
		return one
	case "joined":
		return errors.Join(one, wrapped{two})
	case "http":
		return wrapped{asgi.NewHTTPError(409, "taken")}
	case "other":
		return errors.New(canary)
	}
	return nil
}

type wrapped struct{ error }

func (w wrapped) Unwrap() error { return w.error }

func TestHandle_Validates(t *testing.T) {
	value := asgi.Handle(func(_ context.Context, in validated) (struct{}, error) {
		return struct{}{}, nil
	})
	pointer := asgi.Handle(func(_ context.Context, in *ranged) (struct{}, error) {
		return struct{}{}, nil
	})
	receiver := asgi.Handle(func(_ context.Context, in ranged) (struct{}, error) {
		return struct{}{}, nil
	})
	for name, c := range map[string]struct {
		h      http.Handler
		body   string
		status int
		want   string
	}{
		"good": {value, `{}`, 204, ""},
		"field": {
			value, `{"fault":"field"}`, 422,
			`[{"in":"body","pointer":"/a","detail":"one"}]`,
		},
		"joined": {
			value, `{"fault":"joined"}`, 422,
			`"one"},{"in":"query","pointer":"/b","detail":"two"}]`,
		},
		"http error":       {value, `{"fault":"http"}`, 409, "taken"},
		"another error":    {value, `{"fault":"other"}`, 422, "The request is not valid."},
		"pointer":          {pointer, `{"from":2,"to":1}`, 422, "/to"},
		"pointer receiver": {receiver, `{"from":2,"to":1}`, 422, "/to"},
		"fine by pointer":  {receiver, `{"from":1,"to":2}`, 204, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(t, c.h, post("application/json", c.body))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) ||
				strings.Contains(w.Body.String(), canary) {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
		})
	}
	// Used as an error of a handler, a field error is a problem of its status.
	if w := writeError(t.Context(), asgi.FieldError{In: "path", Pointer: "/id"}); w.Code != 422 {
		t.Errorf("status %d", w.Code)
	}
}

type created struct {
	ID int `json:"id"`
}

func (created) StatusCode() int { return 201 }

type pointerCreated struct{}

func (*pointerCreated) StatusCode() int { return 202 }

type oddStatus struct{}

func (oddStatus) StatusCode() int { return 42 }

// answerOf is the answer of a typed function without input.
func answerOf[Out any](t *testing.T, out Out, err error) *httptest.ResponseRecorder {
	t.Helper()
	return serve(t, asgi.Handle(func(context.Context, struct{}) (Out, error) { return out, err }),
		httptest.NewRequest("GET", "/", nil))
}

func TestHandle_Answers(t *testing.T) {
	for name, c := range map[string]struct {
		w      *httptest.ResponseRecorder
		status int
		body   string
	}{
		"struct":                  {answerOf(t, addOut{3}, nil), 200, `{"sum":3}`},
		"nothing":                 {answerOf(t, struct{}{}, nil), 204, ""},
		"status":                  {answerOf(t, created{1}, nil), 201, `{"id":1}`},
		"status of a pointer":     {answerOf(t, &created{1}, nil), 201, `{"id":1}`},
		"status by pointer":       {answerOf(t, pointerCreated{}, nil), 202, "{}"},
		"nil pointer":             {answerOf[*created](t, nil, nil), 200, "null"},
		"impossible status":       {answerOf(t, oddStatus{}, nil), 500, "problem"},
		"reply":                   {answerOf(t, asgi.Text("hi"), nil), 200, "hi"},
		"response":                {answerOf[asgi.Response](t, asgi.NoContent(), nil), 204, ""},
		"no response":             {answerOf[asgi.Response](t, nil, nil), 500, "problem"},
		"no reply":                {answerOf[*asgi.Reply](t, nil, nil), 500, "problem"},
		"response in any":         {answerOf[any](t, asgi.Text("hi"), nil), 200, "hi"},
		"status in any":           {answerOf[any](t, created{1}, nil), 201, `{"id":1}`},
		"null":                    {answerOf[any](t, nil, nil), 200, "null"},
		"map":                     {answerOf(t, map[string]int{"a": 1}, nil), 200, `{"a":1}`},
		"what JSON cannot encode": {answerOf[any](t, make(chan int), nil), 500, "problem"},
		"error": {
			answerOf(t, addOut{}, asgi.NewHTTPError(404, "none")), 404,
			"problem",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.body == "problem" {
				problemOf(t, c.w)
			} else if got := c.w.Body.String(); got != c.body {
				t.Errorf("body %q, want %q", got, c.body)
			}
			if c.w.Code != c.status {
				t.Errorf("status %d, want %d", c.w.Code, c.status)
			}
		})
	}
}

func TestHandle_ContextLeadsToTheRequest(t *testing.T) {
	h := asgi.Handle(func(ctx context.Context, _ struct{}) (struct{}, error) {
		r, ok := asgi.RequestFrom(ctx)
		if !ok {
			t.Fatal("no request")
		}
		r.ResponseHeader().Set("X-Method", r.Method())
		return struct{}{}, nil
	})
	if w := serve(t, h, httptest.NewRequest("GET", "/", nil)); w.Header().Get("X-Method") != "GET" {
		t.Errorf("headers %v", w.Header())
	}
}

type outer struct{ inner }

type inner struct {
	A int `query:"a"`
}

func panicOf(register func()) (text string) {
	defer func() { text, _ = recover().(string) }()
	register()
	return ""
}

func register[In any]() func() {
	return func() {
		asgi.Handle(func(context.Context, In) (struct{}, error) { return struct{}{}, nil })
	}
}

func TestHandle_BadTypesPanicAtRegistration(t *testing.T) {
	for name, c := range map[string]struct {
		register func()
		want     string
	}{
		"good": {register[outer](), ""},
		"two tags": {register[struct {
			A int `path:"a" query:"a"`
		}](), "field A: it has both a path and a query tag"},
		"no name": {register[struct {
			A int `path:""`
		}](), "field A: its path tag has no name"},
		"not exported": {register[struct {
			a int `path:"a"`
		}](), "field a: it is not exported"},
		"same name": {register[struct {
			A int    `header:"X-A"`
			B string `header:"x-a"`
		}](), "field B: another field has the same header tag"},
		"map in a query": {register[struct {
			A map[string]int `query:"a"`
		}](), "field A: a map[string]int cannot come from a query"},
		"list in a path": {register[struct {
			A []int `path:"a"`
		}](), "cannot come from a path"},
		"bytes in a query": {register[struct {
			A []byte `query:"a"`
		}](), "cannot come from a query"},
		"pointer to a list": {register[struct {
			A *[]int `query:"a"`
		}](), "cannot come from a query"},
		"hidden embedded pointer": {register[struct{ *inner }](), "must be exported"},
		"channel": {register[struct {
			A []chan int `json:"a"`
		}](), "JSON cannot hold chan int at /a/*"},
		"function": {register[func()](), "JSON cannot hold func()"},
		"same JSON names": {register[struct {
			A int `json:"B"`
			B int
		}](), "asgi: Handle: struct"},
		"no function": {func() { asgi.Handle[int, int](nil) }, "without a function"},
		"Respond":     {func() { asgi.Respond(nil) }, "without a function"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := panicOf(c.register); !strings.Contains(got, c.want) ||
				(got == "") != (c.want == "") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestHandle_OverASocket(t *testing.T) {
	s := server(t, asgi.Handle(add))
	for name, c := range map[string]struct {
		body   io.Reader // one that is no strings.Reader is sent in chunks
		status int
		want   string
	}{
		"announced": {strings.NewReader(`{"a":2,"b":40}`), 200, `{"sum":42}`},
		"in chunks": {
			io.MultiReader(strings.NewReader(`{"a":2,`), strings.NewReader(`"b":40}`)), 200,
			`{"sum":42}`,
		},
		"empty chunks":        {io.MultiReader(), 400, "empty"},
		"too large":           {strings.NewReader(strings.Repeat(" ", 1<<20+1)), 413, "1048576"},
		"too large in chunks": {io.LimitReader(spaces{}, 1<<20+1), 413, "1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := s.Client().Post(s.URL, "application/json", c.body)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if err != nil || response.StatusCode != c.status ||
				!strings.Contains(string(body), c.want) {
				t.Errorf("%v, %d, %s", err, response.StatusCode, body)
			}
		})
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
