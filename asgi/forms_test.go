package asgi_test

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
)

// What a page sends for fields that were left empty and boxes that were checked.
func TestHandle_TakesWhatFormsSend(t *testing.T) {
	type in struct {
		Limit *int           `query:"limit"`
		Page  int            `query:"page"`
		Price float64        `query:"price"`
		Since *time.Time     `query:"since"`
		For   time.Duration  `query:"for"`
		From  *netip.Addr    `query:"from"`
		IDs   []int          `query:"id"`
		Tags  []string       `query:"tag"`
		Sold  bool           `query:"sold"`
		New   *bool          `query:"new"`
		Name  *string        `query:"name"`
		Of    map[string]int `json:"-"`
	}
	var got in
	h := asgi.Handle(func(_ context.Context, v in) (struct{}, error) {
		got = v
		return struct{}{}, nil
	})
	empty := url.Values{
		"limit": {""}, "page": {""}, "price": {""}, "since": {""}, "for": {""}, "from": {""},
		"id": {"", "7", ""}, "tag": {"", "x"},
		"sold": {"on"}, "new": {"off"}, "name": {""},
	}
	if w := serve(t, h, httptest.NewRequest("GET", "/?"+empty.Encode(), nil)); w.Code != 204 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if got.Limit != nil || got.Page != 0 || got.Since != nil || got.From != nil ||
		len(got.IDs) != 1 || got.IDs[0] != 7 || len(got.Tags) != 2 ||
		!got.Sold || got.New == nil || *got.New || got.Name == nil || *got.Name != "" {
		t.Errorf("%+v", got)
	}
	for _, wrong := range []string{"limit=+", "sold=ON", "sold=yes", "id=1&id=x"} {
		if w := serve(t, h, httptest.NewRequest("GET", "/?"+wrong, nil)); w.Code != 422 {
			t.Errorf("%s: %d %s", wrong, w.Code, w.Body)
		}
	}
}

func TestHandle_AnEmptyPathValueIsNoInteger(t *testing.T) {
	h := asgi.Handle(func(context.Context, struct {
		ID int `path:"id"`
	},
	) (struct{}, error) {
		return struct{}{}, nil
	})
	r := httptest.NewRequest("GET", "/", nil)
	r.SetPathValue("id", "")
	if w := serve(t, h, r); w.Code != 422 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTimes_AreTheSameEverywhere(t *testing.T) {
	query := asgi.Handle(func(context.Context, struct {
		T time.Time `query:"t"`
	},
	) (struct{}, error) {
		return struct{}{}, nil
	})
	body := asgi.Handle(func(context.Context, struct {
		T time.Time `json:"t"`
	},
	) (struct{}, error) {
		return struct{}{}, nil
	})
	for text, want := range map[string]int{
		"2024-02-29T01:02:03Z": 204, "2024-02-29T01:02:03.123456789+05:30": 204,
		"2024-02-29T1:02:03Z": 422, "2024-02-29T01:02:03,5Z": 422, "2024-02-29 01:02:03Z": 422,
		"2024-02-29T01:02:03+24:00": 422,
		"2024-02-29T01:02:03+05:60": 422, "2023-02-29T01:02:03Z": 422, "2024-02-29": 422,
		"2024-02-29T01:02:03": 422,
	} {
		inQuery := serve(t, query,
			httptest.NewRequest("GET", "/?t="+url.QueryEscape(text), nil)).Code
		inBody := serve(t, body, post("application/json", `{"t":"`+text+`"}`)).Code
		_, err := asgi.ParseQuery("t="+url.QueryEscape(text)).Time("t", time.Time{})
		if inQuery != want || inBody != want || (err == nil) != (want == 204) {
			t.Errorf("%s: query %d, body %d, getter %v, want %d", text, inQuery, inBody, err, want)
		}
	}
}

// form makes a multipart body of parts with headers of their own.
func formBody(t *testing.T, parts ...[2]string) *http.Request {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		part, err := w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {p[0]}})
		if err == nil {
			_, err = io.WriteString(part, p[1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	_ = w.Close()
	return post(w.FormDataContentType(), b.String())
}

func TestForm_HasNoLimitsButItsOwn(t *testing.T) {
	long := strings.Repeat("x", 12<<20)
	const text, file = `form-data; name="a"`, `form-data; name="f"; filename="f.bin"`
	many := make([][2]string, 1500)
	for i := range many {
		many[i] = [2]string{text, "b"}
	}
	for name, c := range map[string]struct {
		r      *http.Request
		limits asgi.Limits
		status int
	}{
		"a long text": {
			formBody(t, [2]string{text, long}),
			asgi.Limits{Body: 64 << 20},
			204,
		},
		"a long text, a limit": {
			formBody(t, [2]string{text, long}),
			asgi.Limits{Body: 10 << 20},
			413,
		},
		"a long text without a limit": {
			formBody(t, [2]string{text, long}),
			asgi.Limits{Body: -1},
			413,
		},
		"long texts without a limit": {
			formBody(t, [2]string{text, long[:6<<20]}, [2]string{text, long[:6<<20]}),
			asgi.Limits{Body: -1},
			413,
		},
		"a long file without a limit": {
			formBody(t, [2]string{file, long}),
			asgi.Limits{Body: -1},
			204,
		},
		"1,500 parts":          {formBody(t, many...), asgi.Limits{Parts: 1500}, 204},
		"1,500 parts, a limit": {formBody(t, many...), asgi.Limits{Parts: 1499}, 413},
		"parts without a name count": {
			formBody(t, [2]string{"form-data", ""}, [2]string{"form-data", ""}),
			asgi.Limits{Parts: 1},
			413,
		},
		"an empty boundary": {
			post("multipart/form-data; boundary=", "x"),
			asgi.Limits{},
			400,
		},
		"no boundary": {post("multipart/form-data", "x"), asgi.Limits{}, 400},
		"a bad parameter": {
			post("application/x-www-form-urlencoded; charset", "a=b"),
			asgi.Limits{},
			204,
		},
		"another type, a bad parameter": {post("text/plain; charset=", "a=b"), asgi.Limits{}, 415},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			h := c.limits.Wrap(asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
				_, err := r.Form()
				return asgi.NoContent(), err
			}))
			if w := serve(t, h, c.r); w.Code != c.status {
				t.Errorf("%d %s, want %d", w.Code, w.Body, c.status)
			}
		})
	}
}

func TestForm_KeepsFilesWithinItsMemory(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	r := formBody(t,
		[2]string{`form-data; name="f"; filename="C:\\dir\\small.txt"`, "four"},
		[2]string{`form-data; name="none"; filename=""`, ""}, // no file was chosen
		[2]string{`form-data; name="f"; filename="large.txt"`, "ten bytes."},
		[2]string{`form-data; name="f"; filename="exact.txt"`, "six..."},
		[2]string{`form-data; name="a"`, "text"},
	)
	see(t, withLimits(r, &asgi.Limits{Memory: 10}), func(r *asgi.Request) {
		f, err := r.Form()
		if err != nil {
			t.Fatal(err)
		}
		if f.Get("a") != "text" || len(f.Files) != 1 || len(f.Files["f"]) != 3 || f.Has("none") {
			t.Fatalf("%+v", f)
		}
		if name := f.Files["f"][0].Filename; name != "small.txt" {
			t.Errorf("named %q", name)
		}
		for i, want := range []string{"four", "ten bytes.", "six..."} {
			file := f.Files["f"][i]
			open, err := file.Open()
			if err != nil {
				t.Fatal(err)
			}
			if b, err := io.ReadAll(open); string(b) != want || err != nil ||
				file.Size != int64(len(want)) {
				t.Errorf("%s: %q of %d bytes, %v", file.Filename, b, file.Size, err)
			}
			if at, err := open.Seek(0, io.SeekStart); at != 0 || err != nil {
				t.Error(err)
			}
			if err := open.Close(); err != nil {
				t.Error(err)
			}
		}
		if kept, err := os.ReadDir(dir); len(kept) != 1 || err != nil {
			t.Errorf("%d files on disk, %v: the ten bytes alone do not fit beside the first four",
				len(kept), err)
		}
	})
	if left, err := os.ReadDir(dir); len(left) != 0 || err != nil {
		t.Errorf("%d files are left, %v", len(left), err)
	}
}

func TestForm_AnErrorOfTheDiskIsTheServers(t *testing.T) {
	t.Setenv("TMPDIR", "/does/not/exist")
	h := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		_, err := r.Form()
		return asgi.NoContent(), err
	})
	r := withLimits(formBody(t, [2]string{`form-data; name="f"; filename="f"`, "x"}),
		&asgi.Limits{Memory: -1})
	if w := serve(t, h, r); w.Code != 500 || strings.Contains(w.Body.String(), "exist") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
