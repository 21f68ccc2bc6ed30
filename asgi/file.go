package asgi

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/genropy/genro-asgi-go/internal/httpheader"
	"github.com/genropy/genro-asgi-go/internal/respwriter"
)

// File answers with a file in dir. name is a path within dir with forward slashes, and may come
// from the request: it cannot lead out of dir, not by "..", not by a symbolic link (os.Root). A
// leading slash is ignored.
//
// Ranges, If-Range, If-Modified-Since and If-None-Match are answered as RFC 9110 says; the ETag is
// made of the time of change and the size unless the handler set one. The media type comes from the
// name's extension, else from the content, unless the handler set it. What is missing, a directory
// or no regular file, or has a name part beginning with a dot is answered as 404, what the server
// may not read as 403.
func File(dir, name string) *Reply {
	return fileReply(name, func(name string) (fs.File, error) {
		root, err := os.OpenRoot(dir)
		if err != nil {
			// not wrapped: it is no 404
			return nil, errors.New("asgi: open the directory of files: " + err.Error())
		}
		defer root.Close()
		return openRegular(root.FS(), name)
	})
}

// FileFS answers with a file of fsys, such as an embed.FS, as File does. Of a file system that
// cannot seek the whole file is sent, without ranges; one that knows no times of change gives no
// ETag.
func FileFS(fsys fs.FS, name string) *Reply {
	if fsys == nil {
		return new(Reply).fail(errors.New("asgi: FileFS: the file system is nil"))
	}
	return fileReply(name, func(name string) (fs.File, error) { return openRegular(fsys, name) })
}

// openRegular looks before it opens: to open a named pipe would wait for a writer.
func openRegular(fsys fs.FS, name string) (fs.File, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	return fsys.Open(name)
}

func fileReply(name string, open func(string) (fs.File, error)) *Reply {
	return &Reply{allows: ownStatus, body: bodyStream, content: streamBody(
		func(w *respwriter.Writer, r *http.Request, _ int) error {
			return serveFile(w, r, strings.TrimPrefix(name, "/"), open)
		})}
}

func serveFile(w *respwriter.Writer, r *http.Request, name string,
	open func(string) (fs.File, error),
) error {
	if !fs.ValidPath(name) || hidden(name) {
		return NewHTTPError(http.StatusNotFound, "")
	}
	file, err := open(name)
	if err != nil {
		return fileError(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return fileError(err)
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff") // a file that a user sent must not become a script
	if h.Get("Etag") == "" && !info.ModTime().IsZero() {
		h.Set("Etag", fmt.Sprintf(`"%x-%x"`, info.ModTime().UnixNano(), info.Size()))
	}
	if seeker, ok := file.(io.ReadSeeker); ok {
		r = httpheader.WithRange(r, info.Size())
		http.ServeContent(w, r, path.Base(name), info.ModTime(), seeker)
		return nil
	}
	if h.Get("Content-Type") == "" {
		contentType := mime.TypeByExtension(path.Ext(name))
		if contentType == "" {
			contentType = "application/octet-stream"
		}
		h.Set("Content-Type", contentType)
	}
	h.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err = io.CopyN(w, file, info.Size())
	return err
}

// hidden reports whether a part of the path begins with a dot, as .git and .env do.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.Contains(name, "/.")
}

func fileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &HTTPError{Status: http.StatusForbidden, Err: err}
	case notThere(err):
		return &HTTPError{Status: http.StatusNotFound, Err: err}
	}
	return err
}

// notThere tells a path at fault from a server at fault, such as one without file descriptors.
func notThere(err error) bool {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return true
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno == syscall.EINVAL || errno == syscall.ENOTDIR ||
			errno == syscall.ENAMETOOLONG || errno == syscall.ELOOP
	}
	// What is left of path errors is os.Root refusing a path that leads out.
	_, ok := errors.AsType[*fs.PathError](err)
	return ok
}
