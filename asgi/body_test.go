package asgi_test

import (
	"bytes"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
)

type item struct {
	Name  string   `json:"name"`
	Count int8     `json:"count"`
	Price float32  `json:"price"`
	OK    bool     `json:"ok"`
	Tags  []string `json:"tags"`
	Inner *item    `json:"inner"`
	N     uint     `json:"n"`
}

func post(contentType, body string) *http.Request {
	r := httptest.NewRequest("POST", "/", strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

var echoItem = asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
	var v item
	if err := r.JSON(&v); err != nil {
		return nil, err
	}
	return asgi.JSON(v), nil
})

func TestRequest_JSONRefusesWhatDoesNotFit(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		status int
		want   string // in the problem
	}{
		"good":          {`{"name":"x","count":1}`, 200, `"name":"x"`},
		"empty":         {``, 400, "The body is empty"},
		"no JSON":       {`{"name":`, 400, "not valid JSON at byte"},
		"trailing data": {`{"name":"x"} {}`, 400, "not valid JSON at byte 13"},
		"duplicate": {
			`{"name":"x","name":"y"}`, 400,
			`"pointer":"/name","detail":"must be given once"`,
		},
		"unknown member": {
			`{"x/y":1}`, 422,
			`{"in":"body","pointer":"/x~1y","detail":"is not known here"}`,
		},
		"other case":        {`{"Name":"x"}`, 422, `"pointer":"/Name"`},
		"not UTF-8":         {"{\"name\":\"\xff\"}", 400, "not valid JSON"},
		"number for string": {`{"name":1}`, 422, `"pointer":"/name","detail":"must be a string"`},
		"string for number": {
			`{"count":"1"}`, 422,
			`"pointer":"/count","detail":"must be an integer"`,
		},
		"fraction": {
			`{"count":1.5}`, 422,
			`"pointer":"/count","detail":"must be an integer"`,
		},
		"overflow": {
			`{"count":128}`, 422,
			`"pointer":"/count","detail":"is out of range"`,
		},
		"negative": {
			`{"n":-1}`, 422,
			`"pointer":"/n","detail":"must be an integer, 0 or more"`,
		},
		"unsigned overflow": {
			`{"n":99999999999999999999}`, 422,
			`"pointer":"/n","detail":"is out of range"`,
		},
		"float overflow": {
			`{"price":1e99}`, 422,
			`"pointer":"/price","detail":"is out of range"`,
		},
		"float": {
			`{"price":"x"}`, 422,
			`"pointer":"/price","detail":"must be a number"`,
		},
		"bool":  {`{"ok":0}`, 422, `"pointer":"/ok","detail":"must be true or false"`},
		"array": {`{"tags":{}}`, 422, `"pointer":"/tags","detail":"must be an array"`},
		"object": {
			`{"inner":[]}`, 422,
			`"pointer":"/inner","detail":"must be an object"`,
		},
		"element": {
			`{"tags":["a",1]}`, 422,
			`"pointer":"/tags/1","detail":"must be a string"`,
		},
		"whole": {`[]`, 422, `"pointer":"","detail":"must be an object"`},
		"depth 32": {
			strings.Repeat(`{"inner":`, 31) + "{}" + strings.Repeat("}", 31), 200,
			`"inner"`,
		},
		"depth 33": {
			strings.Repeat(`{"inner":`, 32) + "{}" + strings.Repeat("}", 32), 400,
			"more than 32 levels",
		},
		"brackets in text": {`{"name":"` + strings.Repeat(`[{\"`, 50) + `"}`, 200, "[{"},
		"wide, not deep": {`{"tags":[` + strings.Repeat(`"[]",`, 40) +
			`"{"],"inner":{"inner":{}}}`, 200, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(t, echoItem, post("application/json", c.body))
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
				t.Errorf("status %d, want %d with %s\n%s", w.Code, c.status, c.want, w.Body)
			}
			if w.Code != 200 && strings.Contains(w.Body.String(), "unmarshal") {
				t.Errorf("the library's text is sent: %s", w.Body)
			}
		})
	}
}

func TestRequest_JSONWantsItsMediaType(t *testing.T) {
	for contentType, status := range map[string]int{
		"application/json":                    200,
		"application/json; charset=utf-8":     200,
		"Application/JSON; charset=\"UTF-8\"": 200,
		"application/merge-patch+json":        200,
		"":                                    415,
		"text/plain":                          415,
		"application/x-www-form-urlencoded":   415,
		"application/json; charset=latin1":    415,
		"application/json; =":                 415,
		"text/json":                           415,
	} {
		if w := serve(t, echoItem, post(contentType, "{}")); w.Code != status {
			t.Errorf("%q: status %d, want %d", contentType, w.Code, status)
		}
	}
	r := post("application/json", "{}")
	r.Header.Set("Content-Encoding", "gzip")
	if w := serve(t, echoItem, r); w.Code != 415 {
		t.Errorf("status %d for a coding", w.Code)
	}
}

// chunked hides the length of a body.
func chunked(r *http.Request) *http.Request {
	r.ContentLength = -1
	return r
}

func TestRequest_BodyIsLimited(t *testing.T) {
	text := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		s, err := r.Text()
		if err != nil {
			return nil, err
		}
		return asgi.Text(s), nil
	})
	stream := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		b, err := io.ReadAll(r.Body())
		if err != nil {
			return nil, err
		}
		return asgi.Bytes("text/plain", b), nil
	})
	large := strings.Repeat("x", 1<<20)
	for name, h := range map[string]http.Handler{"text": text, "stream": stream} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				h      http.Handler
				r      *http.Request
				status int
			}{
				{h, post("", large), 200},
				{h, chunked(post("", large)), 200},
				{h, post("", large+"x"), 413},
				{h, chunked(post("", large+"x")), 413},
				{(&asgi.Limits{Body: 3}).Wrap(h), post("", "abc"), 200},
				{(&asgi.Limits{Body: 3}).Wrap(h), chunked(post("", "abcd")), 413},
				{(&asgi.Limits{Body: -1}).Wrap(h), chunked(post("", large+"x")), 200},
			} {
				want := c.r.ContentLength
				w := serve(t, c.h, c.r)
				if w.Code != c.status {
					t.Errorf("status %d, want %d", w.Code, c.status)
				}
				if c.status == 200 && want >= 0 && int64(w.Body.Len()) != want {
					t.Errorf("%d bytes, want %d", w.Body.Len(), want)
				}
			}
		})
	}
}

func TestRequest_SetLimits(t *testing.T) {
	h := (&asgi.Limits{Body: 1}).Wrap(asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		r.SetLimits(nil)
		if b, err := r.Bytes(); err != nil || string(b) != "abc" {
			return nil, err
		}
		return asgi.NoContent(), nil
	}))
	if w := serve(t, h, post("", "abc")); w.Code != 204 {
		t.Errorf("status %d", w.Code)
	}
}

type brokenBody struct{ err error }

func (b brokenBody) Read([]byte) (int, error) { return 0, b.err }

func TestRequest_BodyThatDoesNotCome(t *testing.T) {
	for status, cause := range map[int]error{
		400: io.ErrUnexpectedEOF, 408: os.ErrDeadlineExceeded, 413: &http.MaxBytesError{Limit: 5},
	} {
		r := httptest.NewRequest("POST", "/", brokenBody{cause})
		r.Header.Set("Content-Type", "application/json")
		if w := serve(t, echoItem, r); w.Code != status {
			t.Errorf("%v: status %d, want %d", cause, w.Code, status)
		}
	}
}

func TestRequest_BodyIsReadOnce(t *testing.T) {
	see(t, post("application/json", "{}"), func(r *asgi.Request) {
		if b, err := r.Bytes(); err != nil || string(b) != "{}" {
			t.Errorf("%q, %v", b, err)
		}
		if _, err := r.Text(); err == nil {
			t.Error("read twice")
		}
		if _, err := io.ReadAll(r.Body()); err == nil {
			t.Error("read twice as a stream")
		}
		if err := r.JSON(new(item)); err == nil {
			t.Error("read twice as JSON")
		}
		for _, err := range r.Parts() {
			if err == nil {
				t.Error("read twice in parts")
			}
		}
	})
	hr := httptest.NewRequest("POST", "/", nil)
	hr.Body = nil
	see(t, hr, func(r *asgi.Request) {
		if b, err := r.Bytes(); err != nil || len(b) != 0 {
			t.Errorf("%q, %v without a body", b, err)
		}
	})
}

func multipartBody(t *testing.T, parts ...[3]string) *http.Request {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		create := func() (io.Writer, error) { return w.CreateFormField(p[0]) }
		if p[1] != "" {
			create = func() (io.Writer, error) { return w.CreateFormFile(p[0], p[1]) }
		}
		part, err := create()
		if err == nil {
			_, err = io.WriteString(part, p[2])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return post(w.FormDataContentType(), b.String())
}

func TestRequest_Form(t *testing.T) {
	see(t, post("application/x-www-form-urlencoded", "a=1&b=x+y"), func(r *asgi.Request) {
		f, err := r.Form()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := f.Int("a", 0); n != 1 || err != nil || f.Get("b") != "x y" {
			t.Errorf("%d, %v, %q", n, err, f.Get("b"))
		}
		var failed *asgi.HTTPError
		if _, err := f.Int("b", 0); !errors.As(err, &failed) || failed.Fields[0].In != "form" {
			t.Errorf("error %v", err)
		}
		if again, err := r.Form(); again != f || err != nil {
			t.Error("another form the second time")
		}
	})
}

func TestRequest_FormErrors(t *testing.T) {
	h := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		if _, err := r.Form(); err != nil {
			return nil, err
		}
		return asgi.NoContent(), nil
	})
	field := [3]string{"a", "", "b"}
	for name, c := range map[string]struct {
		r      *http.Request
		status int
	}{
		"JSON":      {post("application/json", "{}"), 415},
		"no type":   {post("", "a=b"), 415},
		"malformed": {post("application/x-www-form-urlencoded", "a=%zz"), 400},
		"too large": {
			post("application/x-www-form-urlencoded", strings.Repeat("x", 1<<20+1)),
			413,
		},
		"no boundary": {post("multipart/form-data", "x"), 400},
		"no parts":    {post("multipart/form-data; boundary=x", "y"), 400},
		"large part": {
			chunked(multipartBody(t, [3]string{"f", "f.bin", strings.Repeat("x", 1<<20)})), 413,
		},
		"1000 parts": {multipartBody(t, manyParts(1000)...), 204},
		"1001 parts": {multipartBody(t, manyParts(1001)...), 413},
		"3 of 2 parts": {
			withLimits(multipartBody(t, field, field, [3]string{"f", "x", "y"}),
				&asgi.Limits{Parts: 2}), 413,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if w := serve(t, h, c.r); w.Code != c.status {
				t.Errorf("status %d, want %d: %s", w.Code, c.status, w.Body)
			}
		})
	}
}

func manyParts(n int) [][3]string {
	parts := make([][3]string, n)
	for i := range parts {
		parts[i] = [3]string{"a", "", "b"}
	}
	return parts
}

func withLimits(r *http.Request, l *asgi.Limits) *http.Request {
	return r.WithContext(asgi.ContextWithLimits(r.Context(), l))
}

func TestRequest_FormFilesAreRemovedHoweverTheHandlerEnds(t *testing.T) {
	for _, end := range []string{"answer", "error", "panic", "too many parts"} {
		t.Run(end, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			files := func() int {
				entries, err := os.ReadDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				return len(entries)
			}
			h := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
				f, err := r.Form()
				if err != nil {
					return nil, err
				}
				if files() == 0 {
					t.Error("nothing is in a file")
				}
				file, err := f.Files["f"][0].Open()
				if err != nil {
					t.Fatal(err)
				}
				defer file.Close()
				if b, _ := io.ReadAll(file); string(b) != "content" {
					t.Errorf("content %q", b)
				}
				switch end {
				case "error":
					return nil, errors.New("no")
				case "panic":
					panic("no")
				}
				return asgi.NoContent(), nil
			})
			limits := &asgi.Limits{Memory: -1}
			if end == "too many parts" {
				limits.Parts = 1
			}
			func() {
				defer func() { _ = recover() }()
				// A copy of the request: net/http removes the files only of the one it made.
				serve(t, h,
					withLimits(multipartBody(t, [3]string{"f", "f.txt", "content"},
						[3]string{"a", "", "b"}), limits))
			}()
			if n := files(); n != 0 {
				t.Errorf("%d files are left", n)
			}
		})
	}
}

func TestRequest_Parts(t *testing.T) {
	see(t, multipartBody(t, [3]string{"a", "", "1"}, [3]string{"f", "x.txt", "2"}),
		func(r *asgi.Request) {
			var got []string
			for part, err := range r.Parts() {
				if err != nil {
					t.Fatal(err)
				}
				b, err := io.ReadAll(part)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, part.FormName()+"="+string(b)+part.FileName())
			}
			if strings.Join(got, " ") != "a=1 f=2x.txt" {
				t.Errorf("got %q", got)
			}
		})
	errOf := func(hr *http.Request) (err error) {
		see(t, hr, func(r *asgi.Request) {
			for _, e := range r.Parts() {
				err = e
			}
		})
		return err
	}
	for name, c := range map[string]struct {
		r      *http.Request
		status int
	}{
		"another type": {post("text/plain", "x"), 415},
		"too many": {
			withLimits(multipartBody(t, manyParts(3)...), &asgi.Limits{Parts: 2}),
			413,
		},
		"too large": {
			withLimits(chunked(multipartBody(t, manyParts(3)...)), &asgi.Limits{Body: 50}), 413,
		},
		"malformed": {post("multipart/form-data; boundary=x", "--x\r\nbad"), 400},
	} {
		var failed *asgi.HTTPError
		if err := errOf(c.r); !errors.As(err, &failed) || failed.Status != c.status {
			t.Errorf("%s: %v, want %d", name, err, c.status)
		}
	}
	see(t, multipartBody(t, manyParts(3)...), func(r *asgi.Request) {
		for _, err := range r.Parts() {
			if err != nil {
				t.Error(err)
			}
			break
		}
	})
}

type ranged struct {
	From int `json:"from"`
	To   int `json:"to"`
}

func (r *ranged) Validate() error {
	if r.To < r.From {
		return asgi.FieldError{Pointer: "/to", Detail: "must not be before from"}
	}
	return nil
}

func TestRequest_JSONValidates(t *testing.T) {
	see(t, post("application/json", `{"from":2,"to":1}`), func(r *asgi.Request) {
		var failed *asgi.HTTPError
		if err := r.JSON(new(ranged)); !errors.As(err, &failed) || failed.Status != 422 {
			t.Errorf("error %v", err)
		}
	})
}
