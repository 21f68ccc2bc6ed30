package asgi_test

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
)

// tree is a directory with files beside it that must not be reached.
func tree(t *testing.T) string {
	t.Helper()
	base := t.TempDir()
	dir := filepath.Join(base, "public")
	for name, content := range map[string]string{
		"secret.txt": canary, "public/a.txt": "0123456789", "public/sub/b.html": "<p>",
		"public/.env": canary, "public/.git/config": canary,
	} {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, target := range map[string]string{
		"out.txt": "../secret.txt",
		"abs.txt": filepath.Join(base, "secret.txt"), "in.txt": "a.txt", "loop": "loop",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFile_ServesOnlyWhatIsInTheDirectory(t *testing.T) {
	dir := tree(t)
	if runtime.GOOS != "windows" {
		if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, status := range map[string]int{
		"a.txt": 200, "/a.txt": 200, "sub/b.html": 200, "in.txt": 200,
		"../secret.txt": 404, "sub/../../secret.txt": 404, "/../secret.txt": 404, "//a.txt": 404,
		"sub//b.html": 404, "./a.txt": 404,
		"out.txt": 404, "abs.txt": 404, "loop": 404, "pipe": 404, "none": 404, "sub": 404,
		"sub/": 404, "": 404, ".": 404,
		".env": 404, ".git/config": 404, "a.txt/x": 404, "a\x00b": 404,
		strings.Repeat("x", 5000): 404, `..\secret.txt`: 404,
	} {
		w := serve(t, give(asgi.File(dir, name)), httptest.NewRequest("GET", "/", nil))
		if w.Code != status || strings.Contains(w.Body.String(), canary) {
			t.Errorf("%.40q: status %d, want %d: %.200s", name, w.Code, status, w.Body)
		}
		if status == 404 {
			problemOf(t, w)
		}
	}
	if w := serve(t, give(asgi.File(filepath.Join(dir, "none"), "a.txt")),
		httptest.NewRequest("GET", "/", nil)); w.Code != 500 {
		t.Errorf("status %d for a directory that is not there", w.Code)
	}
}

func TestFile_AnswersConditionsAndRanges(t *testing.T) {
	dir := tree(t)
	h := give(asgi.File(dir, "a.txt"))
	whole := serve(t, h, httptest.NewRequest("GET", "/", nil))
	etag, modified := whole.Header().Get("Etag"), whole.Header().Get("Last-Modified")
	if whole.Body.String() != "0123456789" || etag == "" || modified == "" ||
		whole.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("%q, %v", whole.Body, whole.Header())
	}
	for name, c := range map[string]struct {
		method, header, value string
		status                int
		body                  string
	}{
		"range":         {"GET", "Range", "bytes=2-4", 206, "234"},
		"end":           {"GET", "Range", "bytes=-2", 206, "89"},
		"no such range": {"GET", "Range", "bytes=20-", 416, ""},
		"same":          {"GET", "If-None-Match", etag, 304, ""},
		"other":         {"GET", "If-None-Match", `"x"`, 200, "0123456789"},
		"not modified":  {"GET", "If-Modified-Since", modified, 304, ""},
		"changed":       {"GET", "If-Match", `"x"`, 412, ""},
		"head":          {"HEAD", "X", "", 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(c.method, "/", nil)
			r.Header.Set(c.header, c.value)
			w := serve(t, h, r)
			if w.Code != c.status || c.status != 416 && w.Body.String() != c.body {
				t.Errorf("%d, %q", w.Code, w.Body)
			}
		})
	}
	at := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "a.txt"), at, at); err != nil {
		t.Fatal(err)
	}
	if w := serve(t, h, httptest.NewRequest("GET", "/", nil)); w.Header().Get("Etag") == etag {
		t.Error("a changed file keeps its ETag")
	}
	w := serve(t,
		give(asgi.File(dir, "a.txt").Header("ETag", `"v1"`).Header("Content-Type",
			"text/x").Attachment("x.txt")), httptest.NewRequest("GET", "/", nil))
	if h := w.Header(); h.Get("Etag") != `"v1"` || h.Get("Content-Type") != "text/x" ||
		!strings.HasPrefix(h.Get("Content-Disposition"), "attachment") {
		t.Errorf("headers %v", h)
	}
}

// noSeek is a file system whose files can only be read on.
type noSeek struct{ fs.FS }

func (n noSeek) Open(name string) (fs.File, error) {
	f, err := n.FS.Open(name)
	return struct{ fs.File }{f}, err
}

// failingFS is a file system that is at fault.
type failingFS struct{ err error }

func (f failingFS) Open(name string) (fs.File, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: f.err}
}

func TestFileFS(t *testing.T) {
	files := fstest.MapFS{"a.txt": {Data: []byte("0123")}, "dir/b": {Data: []byte("x")}}
	for name, c := range map[string]struct {
		fsys   fs.FS
		name   string
		status int
		body   string
	}{
		"file":            {files, "a.txt", 200, "0123"},
		"directory":       {files, "dir", 404, ""},
		"escape":          {os.DirFS("."), "../go.mod", 404, ""},
		"no seek":         {noSeek{files}, "a.txt", 200, "0123"},
		"no seek, binary": {noSeek{files}, "dir/b", 200, "x"},
		"not allowed":     {failingFS{syscall.EACCES}, "a", 403, ""},
		"broken disk":     {failingFS{syscall.EIO}, "a", 500, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := serve(t, give(asgi.FileFS(c.fsys, c.name)), httptest.NewRequest("GET", "/", nil))
			if w.Code != c.status || c.status == 200 && w.Body.String() != c.body {
				t.Errorf("%d, %q", w.Code, w.Body)
			}
			w = serve(t, give(asgi.FileFS(c.fsys, c.name)), httptest.NewRequest("HEAD", "/", nil))
			if w.Code != c.status || w.Body.Len() != 0 || c.status == 200 &&
				w.Header().Get("Content-Length") == "" {
				t.Errorf("HEAD: %d, %q, %v", w.Code, w.Body, w.Header())
			}
		})
	}
}

func TestFile_OverASocket(t *testing.T) {
	response, body, err := fetch(t, server(t, give(asgi.File(tree(t), "sub/b.html"))),
		http.MethodGet)
	if err != nil || body != "<p>" || response.ContentLength != 3 ||
		response.Header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%v, %q, %v", err, body, response)
	}
}
