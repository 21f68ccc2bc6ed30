package asgi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/problem"
)

// ask sends a request with a body of a type, if that is not empty, and gives the answer.
func ask(t *testing.T, h http.Handler,
	method, target, contentType, body string,
) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

type listing struct {
	Limit int           `query:"limit" json:"limit" default:"20"`
	Every time.Duration `query:"every" json:"every" default:"1m"`
	Sort  string        `query:"sort" json:"sort" default:"name"`
	Trace string        `header:"X-Trace" json:"trace" default:"none"`
}

func TestHandle_Defaults(t *testing.T) {
	h := asgi.Handle(func(_ context.Context, in listing) (listing, error) { return in, nil })
	for target, want := range map[string]string{
		"/":                     `{"limit":20,"every":"1m0s","sort":"name","trace":"none"}`,
		"/?limit=&sort=":        `{"limit":20,"every":"1m0s","sort":"","trace":"none"}`,
		"/?limit=5&every=90s":   `{"limit":5,"every":"1m30s","sort":"name","trace":"none"}`,
		"/?limit=0&sort=a&x=%7": "The query is not well formed.",
		"/?limit=a":             `"pointer":"/limit","detail":"must be an integer"`,
		"/?sort=%ff":            "The query is not well formed.",
	} {
		if w := ask(t, h, "GET", target, "", ""); !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s, want %s", target, w.Code, w.Body, want)
		}
	}
	type both struct {
		ID   int    `query:"id" json:"id" default:"7"`
		Name string `json:"name" default:"none"`
	}
	h = asgi.Handle(func(_ context.Context, in both) (both, error) { return in, nil })
	for body, want := range map[string]string{
		`{}`: `{"id":7,"name":"none"}`, `{"name":"a"}`: `{"id":7,"name":"a"}`,
		`null`:     `{"id":7,"name":"none"}`,
		`{"id":8}`: `"pointer":"/id","detail":"is not part of the body but of the query"`,
	} {
		if w := ask(t, h, "POST", "/", "application/json", body); !strings.Contains(w.Body.String(),
			want) {
			t.Errorf("%s: %d %s, want %s", body, w.Code, w.Body, want)
		}
	}
	if w := ask(t, h, "DELETE", "/", "", ""); w.Body.String() != `{"id":7,"name":"none"}` {
		t.Errorf("without a body: %s", w.Body)
	}
}

// Text that is not UTF-8 is the caller's mistake wherever it comes in.
func TestHandle_OnlyUTF8(t *testing.T) {
	h := asgi.Handle(func(_ context.Context, in struct {
		ID     string `path:"id" json:"id"`
		Trace  string `header:"X-Trace" json:"trace"`
		Cookie string `cookie:"c" json:"c"`
	},
	) (any, error) {
		return in, nil
	})
	for name, change := range map[string]func(*http.Request){
		"path":   func(r *http.Request) { r.SetPathValue("id", "\xff") },
		"header": func(r *http.Request) { r.Header.Set("X-Trace", "\xff") },
		"cookie": func(r *http.Request) { r.Header.Set("Cookie", "c=%ff") },
	} {
		r := httptest.NewRequest("GET", "/", nil)
		if name == "cookie" {
			r.Header["Cookie"] = []string{"c=\xff"}
		}
		change(r)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if name == "cookie" { // net/http drops a cookie with such bytes, or keeps the escape
			if w.Code != http.StatusOK {
				t.Errorf("%s: %d %s", name, w.Code, w.Body)
			}
			continue
		}
		if w.Code != http.StatusUnprocessableEntity ||
			!strings.Contains(w.Body.String(), `"in":"`+name+`"`) ||
			!strings.Contains(w.Body.String(), "must be text in UTF-8") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
}

type upload struct {
	Title string           `form:"title" json:"title" default:"untitled"`
	Tags  []string         `form:"tag" json:"tags"`
	Pages int              `form:"pages" json:"pages"`
	Photo *asgi.FormFile   `form:"photo" json:"-"`
	More  []*asgi.FormFile `form:"more" json:"-"`
}

type uploaded struct {
	Title string   `json:"title"`
	Tags  []string `json:"tags"`
	Pages int      `json:"pages"`
	Files []string `json:"files"`
}

func take(_ context.Context, in upload) (out uploaded, err error) {
	out = uploaded{in.Title, in.Tags, in.Pages, nil}
	for _, f := range append([]*asgi.FormFile{in.Photo}, in.More...) {
		if f == nil {
			continue
		}
		file, err := f.Open()
		if err != nil {
			return out, err
		}
		content, err := io.ReadAll(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return out, err
		}
		out.Files = append(out.Files, f.Filename+"="+string(content))
	}
	return out, nil
}

func TestHandle_Form(t *testing.T) {
	h := asgi.Handle(take)
	multi := func(parts ...string) (contentType, body string) {
		var b bytes.Buffer
		form := multipart.NewWriter(&b)
		for _, part := range parts {
			name, value, _ := strings.Cut(part, "=")
			name, file, isFile := strings.Cut(name, "@")
			var w io.Writer
			var err error
			if isFile {
				w, err = form.CreateFormFile(name, file)
			} else {
				w, err = form.CreateFormField(name)
			}
			if err == nil {
				_, err = io.WriteString(w, value)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := form.Close(); err != nil {
			t.Fatal(err)
		}
		return form.FormDataContentType(), b.String()
	}
	const plain = "application/x-www-form-urlencoded"
	for _, tc := range []struct {
		contentType, body string
		status            int
		want              string
	}{
		{
			plain, "title=a&tag=b&tag=c&pages=3", 200,
			`{"title":"a","tags":["b","c"],"pages":3,"files":[]}`,
		},
		{plain, "unknown=1", 200, `{"title":"untitled","tags":[],"pages":0,"files":[]}`},
		{plain, "pages=&title=", 200, `{"title":"","tags":[],"pages":0,"files":[]}`},
		{
			plain, "pages=x&title=a&title=b", 422,
			`"errors":[{"in":"form","pointer":"/title","detail":"must be given ` +
				`once"},{"in":"form","pointer":"/pages","detail":"must be an integer"}]`,
		},
		{plain, "title=%ff", 400, "The form is not well formed."},
		{plain, "photo=text", 422, `{"in":"form","pointer":"/photo","detail":"must be a file"}`},
		{"application/json", "{}", 415, "multipart/form-data"},
		{"", "", 415, "multipart/form-data"},
	} {
		if w := ask(t, h, "POST", "/", tc.contentType, tc.body); w.Code != tc.status ||
			!strings.Contains(w.Body.String(), tc.want) {
			t.Errorf("%s: %d %s, want %d %s", tc.body, w.Code, w.Body, tc.status, tc.want)
		}
	}
	for want, parts := range map[string][]string{
		`{"title":"t","tags":["x"],"pages":0,"files":["p.txt=1","m.txt=2","n.txt=3"]}`: {
			"title=t",
			"tag=x", "photo@p.txt=1", "more@m.txt=2", "more@n.txt=3",
		},
		`{"in":"form","pointer":"/photo","detail":"must be given once"}`: {
			"photo@p.txt=1", "photo@q.txt=2",
		},
		"The form is not well formed.": {
			"title=\xff",
		},
		"The form is not well formed": {
			"photo@\xff.txt=1",
		},
	} {
		contentType, body := multi(parts...)
		if w := ask(t, h, "POST", "/", contentType, body); !strings.Contains(w.Body.String(),
			want) {
			t.Errorf("%q: %d %s, want %s", parts, w.Code, w.Body, want)
		}
	}
	if w := ask(t, h, "GET", "/", "", ""); w.Body.String() !=
		`{"title":"untitled","tags":[],"pages":0,"files":[]}` {
		t.Errorf("GET: %d %s", w.Code, w.Body)
	}
}

type newOrder struct {
	_        struct{}      `status:"201"`
	ID       int           `json:"id"`
	Location string        `header:"Location" json:"-"`
	ETag     string        `header:"ETag" json:"etag,omitzero"`
	Link     []string      `header:"Link" json:"-"`
	Modified time.Time     `header:"Last-Modified" json:"-"`
	Left     int           `header:"X-Left" json:"-"`
	Body     string        `header:"X-Body" json:"body"` // a member, as it is one
	Session  asgi.Cookie   `header:"Set-Cookie" json:"-"`
	Cookies  []asgi.Cookie `header:"Set-Cookie" json:"-"`
}

func TestHandle_StatusAndHeadersOfOut(t *testing.T) {
	whole := newOrder{
		ID: 7, Location: "/orders/7", ETag: `"1"`, Link: []string{"<a>", "<b>"},
		Modified: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)), Left: 3, Body: "b",
		Session: asgi.Cookie{Name: "s", Value: "1"},
		Cookies: []asgi.Cookie{{Name: "t", Value: "2"}},
	}
	for _, h := range []http.Handler{
		asgi.Handle(func(context.Context, struct{}) (newOrder, error) { return whole, nil }),
		asgi.Handle(func(context.Context, struct{}) (*newOrder, error) { return &whole, nil }),
	} {
		w := ask(t, h, "POST", "/", "", "")
		if w.Code != http.StatusCreated || w.Body.String() != `{"id":7,"etag":"\"1\"","body":"b"}` {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		for name, want := range map[string]string{
			"Location": "/orders/7", "Etag": `"1"`, "Link": "<a>|<b>",
			"Last-Modified": "Fri, 02 Jan 2026 02:04:05 GMT", "X-Left": "3", "X-Body": "",
			"Set-Cookie": "s=1; Path=/; HttpOnly; Secure; SameSite=Lax|t=2; Path=/; HttpOnly; " +
				"Secure; SameSite=Lax",
		} {
			if got := strings.Join(w.Header()[name], "|"); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
	w := ask(t,
		asgi.Handle(func(context.Context, struct{}) (newOrder, error) { return newOrder{}, nil }),
		"POST", "/", "", "")
	if w.Code != http.StatusCreated || len(w.Header()) != 2 {
		t.Errorf("of nothing: %d %v", w.Code, w.Header())
	}
	w = ask(t, asgi.Handle(func(context.Context, struct{}) (*newOrder, error) { return nil, nil }),
		"POST", "/", "", "")
	if w.Code != http.StatusOK || w.Body.String() != "null" {
		t.Errorf("of nil: %d %s", w.Code, w.Body)
	}
	type either struct {
		Status int `status:"200,202" json:"-"`
	}
	for said, want := range map[int]int{0: 200, 200: 200, 202: 202, 404: 500} {
		h := asgi.Handle(func(context.Context, struct{}) (either, error) {
			return either{said}, nil
		})
		if w := ask(t, h, "POST", "/", "", ""); w.Code != want {
			t.Errorf("status %d: %d %s", said, w.Code, w.Body)
		}
	}
}

type statusTwice struct {
	A int `status:"201" json:"-"`
	B int `status:"202" json:"-"`
}

type statusAndMethod struct {
	A int `status:"201" json:"-"`
}

func (statusAndMethod) StatusCode() int { return 200 }

func TestHandle_OutThatCannotBe(t *testing.T) {
	for want, register := range map[string]func(){
		"another field has a status tag": func() {
			asgi.Handle(func(context.Context, struct{}) (statusTwice, error) {
				return statusTwice{}, nil
			})
		},
		"both a status tag and a method": func() {
			asgi.Handle(func(context.Context, struct{}) (statusAndMethod, error) {
				return statusAndMethod{}, nil
			})
		},
		`"999", which is no status`: func() {
			asgi.Handle(func(context.Context, struct{}) (out struct {
				A int `status:"999" json:"-"`
			}, err error,
			) {
				return
			})
		},
		"a status is an exported int": func() {
			asgi.Handle(func(context.Context, struct{}) (out struct {
				A string `status:"201" json:"-"`
			}, err error,
			) {
				return
			})
		},
		"a map[string]int cannot be the header X-Map": func() {
			asgi.Handle(func(context.Context, struct{}) (out struct {
				A map[string]int `header:"X-Map" json:"-"`
			}, err error,
			) {
				return
			})
		},
		"a string cannot be the header Set-Cookie": func() {
			asgi.Handle(func(context.Context, struct{}) (out struct {
				A string `header:"Set-Cookie" json:"-"`
			}, err error,
			) {
				return
			})
		},
		"JSON cannot hold chan int": func() {
			asgi.Handle(func(context.Context, struct{}) (chan int, error) { return nil, nil })
		},
		"either a form or a JSON body": func() {
			asgi.Handle(func(_ context.Context, _ struct {
				A string `form:"a"`
				B string
			},
			) (struct{}, error) {
				return struct{}{}, nil
			})
		},
	} {
		func() {
			defer func() {
				if text, ok := recover().(string); !ok || !strings.Contains(text, want) {
					t.Errorf("%q, want %q", text, want)
				}
			}()
			register()
		}()
	}
}

func TestContextWithValidator(t *testing.T) {
	refuse := func(v any) error {
		switch v := v.(type) {
		case *listing:
			if v.Limit > 100 {
				return errors.Join(problem.Field{
					In: "query", Pointer: "/limit",
					Detail: "must be at most 100",
				})
			}
		case *struct{ Secret string }:
			return errors.New("an internal text")
		}
		return nil
	}
	in := func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, r.WithContext(asgi.ContextWithValidator(r.Context(), refuse)))
		})
	}
	app := asgi.New(asgi.Handle(func(_ context.Context, in listing) (int, error) {
		return in.Limit, nil
	}))
	app.Validator = refuse
	for name, h := range map[string]http.Handler{
		"context": in(asgi.Handle(func(_ context.Context, in listing) (int, error) {
			return in.Limit, nil
		})), "App": app,
	} {
		if w := ask(t, h, "GET", "/?limit=101", "", ""); w.Code != 422 ||
			!strings.Contains(w.Body.String(),
				`"errors":[{"in":"query","pointer":"/limit","detail":"must be at most 100"}]`) {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if w := ask(t, h, "GET", "/?limit=100", "", ""); w.Body.String() != "100" {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	byHand := in(asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		var v struct{ Secret string }
		return asgi.NoContent(), r.JSON(&v)
	}))
	if w := ask(t, byHand, "POST", "/", "application/json", "{}"); w.Code != 422 ||
		strings.Contains(w.Body.String(), "internal text") {
		t.Errorf("Request.JSON: %d %s", w.Code, w.Body)
	}
}
