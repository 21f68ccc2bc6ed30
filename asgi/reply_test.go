package asgi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
)

func give(response asgi.Response) http.Handler {
	return asgi.Respond(func(*asgi.Request) (asgi.Response, error) { return response, nil })
}

// server answers over a real socket and logs to nobody.
func server(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r.WithContext(quiet(r.Context())))
	}))
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(s.Close)
	return s
}

func fetch(t *testing.T, s *httptest.Server, method string) (*http.Response, string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := *s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}
	response, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, string(body), err
}

func TestReply_OverASocket(t *testing.T) {
	for name, c := range map[string]struct {
		reply       *asgi.Reply
		status      int
		contentType string
		length      int64
		body        string
	}{
		"JSON": {
			asgi.JSON(map[string]int{"a": 1}), 200, "application/json", 7,
			`{"a":1}`,
		},
		"JSON with a status": {asgi.JSON(1).Status(201), 201, "application/json", 1, "1"},
		"HTML":               {asgi.HTML("<p>è"), 200, "text/html; charset=utf-8", 5, "<p>è"},
		"text":               {asgi.Text("hi"), 200, "text/plain; charset=utf-8", 2, "hi"},
		"empty text":         {asgi.Text(""), 200, "text/plain; charset=utf-8", 0, ""},
		"bytes": {
			asgi.Bytes("image/png", []byte{1, 2}), 200, "image/png", 2,
			"\x01\x02",
		},
		"type of one's own": {
			asgi.JSON(1).Header("Content-Type", "application/hal+json"), 200,
			"application/hal+json", 1, "1",
		},
		"no content":           {asgi.NoContent(), 204, "", 0, ""},
		"no content from JSON": {asgi.JSON(1).Status(204), 204, "", 0, ""},
		"not modified":         {asgi.Text("x").Status(304).Header("ETag", `"1"`), 304, "", 0, ""},
		"redirect":             {asgi.Redirect("/x"), 303, "", 0, ""},
		"stream without a body": {
			asgi.StreamFunc("text/plain", failingStream).Status(304), 304, "",
			0, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, give(c.reply))
			for _, method := range []string{"GET", "HEAD"} {
				response, body, err := fetch(t, s, method)
				if err != nil {
					t.Fatal(err)
				}
				h := response.Header
				if response.StatusCode != c.status || h.Get("Content-Type") != c.contentType {
					t.Errorf("%s: %d, %q", method, response.StatusCode, h.Get("Content-Type"))
				}
				if want := c.length; response.ContentLength != want &&
					(c.status == 200 || c.status == 201) {
					t.Errorf("%s: length %d, want %d", method, response.ContentLength, want)
				}
				if method == "GET" && body != c.body || method == "HEAD" && body != "" {
					t.Errorf("%s: body %q", method, body)
				}
			}
		})
	}
}

func failingStream(context.Context, io.Writer) error { return errors.New("was called") }

func TestReply_OneReplyServesManyRequests(t *testing.T) {
	h := give(asgi.Text("hi").Header("X-A", "1").Cookie(asgi.Cookie{Name: "a"}))
	for range 3 {
		w := serve(t, h, httptest.NewRequest("GET", "/", nil))
		if w.Body.String() != "hi" || len(w.Header()["Set-Cookie"]) != 1 ||
			len(w.Header()["X-A"]) != 1 {
			t.Fatalf("%q, %v", w.Body, w.Header())
		}
	}
}

type brokenResponse struct{ write bool }

func (b brokenResponse) WriteResponse(w http.ResponseWriter, _ *http.Request) error {
	if b.write {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
	}
	return errors.New(canary)
}

func TestRespond_Faults(t *testing.T) {
	for name, c := range map[string]struct {
		response asgi.Response
		err      error
		status   int
	}{
		"error":               {nil, asgi.NewHTTPError(404, ""), 404},
		"error and response":  {asgi.Text("x"), asgi.NewHTTPError(404, ""), 404},
		"neither":             {nil, nil, 500},
		"nil reply":           {(*asgi.Reply)(nil), nil, 500},
		"not encodable":       {asgi.JSON(func() {}), nil, 500},
		"status too low":      {asgi.Text("x").Status(199), nil, 500},
		"status too high":     {asgi.Text("x").Status(1 << 40), nil, 500},
		"status negative":     {asgi.Text("x").Status(-1), nil, 500},
		"status of a file":    {asgi.File(".", "doc.go").Status(200), nil, 500},
		"redirect as success": {asgi.Redirect("/").Status(200), nil, 500},
		"redirect as 304":     {asgi.Redirect("/").Status(304), nil, 500},
		"another's error":     {brokenResponse{}, nil, 500},
		"failing stream":      {asgi.StreamFunc("", failingStream), nil, 500},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(t,
				asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
					return c.response, c.err
				}), httptest.NewRequest("GET", "/", nil))
			problemOf(t, w)
			if w.Code != c.status {
				t.Errorf("status %d, want %d", w.Code, c.status)
			}
		})
	}
}

func TestRespond_CutsAnAnswerThatHasBegun(t *testing.T) {
	for name, response := range map[string]asgi.Response{
		"another's response": brokenResponse{write: true},
		"stream": asgi.StreamFunc("text/plain", func(_ context.Context, w io.Writer) error {
			_, _ = io.WriteString(w, "half")
			return errors.New(canary)
		}),
		"sequence": asgi.Stream("text/plain", func(yield func([]byte, error) bool) {
			_ = yield([]byte("half"), nil) && yield(nil, errors.New(canary))
		}),
	} {
		t.Run(name, func(t *testing.T) {
			_, body, err := fetch(t, server(t, give(response)), "GET")
			if body != "half" || err == nil {
				t.Errorf("body %q, error %v", body, err)
			}
		})
	}
}

func TestReply_WriteResponseAlone(t *testing.T) {
	w := httptest.NewRecorder()
	if err := asgi.Stream("text/plain", oneChunk).WriteResponse(w,
		httptest.NewRequest("GET", "/", nil)); err != nil || w.Body.String() != "x" {
		t.Errorf("%v, %q", err, w.Body)
	}
}

func oneChunk(yield func([]byte, error) bool) { yield([]byte("x"), nil) }

func TestRedirect_StaysOnThisServer(t *testing.T) {
	for target, location := range map[string]string{
		"/":                "/",
		"/a/b?x=//y#z":     "/a/b?x=//y#z",
		"/è?q=%20":         "/%C3%A8?q=%20",
		"//evil.example":   "",
		"/\\evil.example":  "",
		"\\\\evil.example": "",
		"/\t/evil.example": "",
		"/\n/evil.example": "",
		" //evil.example":  "",
		"https://evil":     "",
		"javascript:alert": "",
		"evil.example":     "",
		"":                 "",
		"/x\r\nX-A: b":     "",
		"/a b":             "",
		"/%zz":             "",
	} {
		w := serve(t, give(asgi.Redirect(target)), httptest.NewRequest("GET", "/", nil))
		want := 303
		if location == "" {
			want = 400
		}
		if got := w.Header().Get("Location"); w.Code != want || got != location {
			t.Errorf("%q: %d, %q", target, w.Code, got)
		}
	}
}

func TestRedirect_External(t *testing.T) {
	for target, status := range map[string]int{
		"https://example.com/x?y": 303, "http://h": 303,
		"ftp://h": 500, "//h": 500, "/x": 500, "https://": 500, "https:///x": 500,
		"javascript:x": 500, "https://h\\x": 500, "https://h/ x": 500,
	} {
		w := serve(t, give(asgi.RedirectExternal(target)), httptest.NewRequest("GET", "/", nil))
		if w.Code != status {
			t.Errorf("%q: %d", target, w.Code)
		}
	}
	for _, status := range []int{301, 302, 303, 307, 308} {
		if w := serve(t, give(asgi.Redirect("/x").Status(status)),
			httptest.NewRequest("GET", "/", nil)); w.Code != status {
			t.Errorf("status %d, want %d", w.Code, status)
		}
	}
}

func TestReply_Attachment(t *testing.T) {
	w := serve(t, give(asgi.Text("x").Attachment("../a.txt")), httptest.NewRequest("GET", "/", nil))
	if got := w.Header().Get("Content-Disposition"); got != `attachment; filename="a.txt"` {
		t.Error(got)
	}
}

func TestRespond_PanicGoesOn(t *testing.T) {
	defer func() {
		if p := recover(); fmt.Sprint(p) != "boom" {
			t.Errorf("recovered %v", p)
		}
	}()
	serve(t, asgi.Respond(func(*asgi.Request) (asgi.Response, error) { panic("boom") }),
		httptest.NewRequest("GET", "/", nil))
}

func TestRespond_HeadersOfAnErrorAreNotThoseOfTheResponse(t *testing.T) {
	w := serve(t, give(asgi.JSON(func() {}).Header("Content-Disposition", "attachment")),
		httptest.NewRequest("GET", "/", nil))
	if w.Code != 500 || strings.Contains(fmt.Sprint(w.Header()), "attachment") {
		t.Errorf("%d, %v", w.Code, w.Header())
	}
}
