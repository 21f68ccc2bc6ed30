package asgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/genropy/genro-asgi-go/internal/httpheader"
	"github.com/genropy/genro-asgi-go/internal/respwriter"
	"github.com/genropy/genro-asgi-go/internal/typed"
)

// Response is an answer as a value. Reply is the one of this package; another type may be one too.
//
// WriteResponse writes it. An error it returns before it has written is answered by WriteError;
// after that it cuts the connection.
type Response interface {
	WriteResponse(w http.ResponseWriter, r *http.Request) error
}

// Reply is a Response made by one of JSON, HTML, Text, Bytes, NoContent, Redirect,
// RedirectExternal, Stream, StreamFunc, SSE, File and FileFS. Its methods change it and return it,
// to be chained:
//
//	return asgi.JSON(order).Status(http.StatusCreated).Header("Location", "/orders/7"), nil
//
// A Reply belongs to one request, save one that is no longer changed and is no stream: that can be
// written at will, by many goroutines.
type Reply struct {
	status      int32 // 0 means the default of its kind
	allows      statuses
	body        bodyKind
	contentType string
	header      http.Header
	content     any // as body says
}

// bodyKind says what a reply's content is.
type bodyKind uint8

const (
	bodyNone   bodyKind = iota
	bodyJSON            // a value to encode
	bodyBytes           // []byte
	bodyStream          // streamBody
	bodyFailed          // error: what was wrong in making the reply, answered in its place
)

type streamBody func(w *respwriter.Writer, r *http.Request, status int) error

// statuses are those that Status may set.
type statuses uint8

const (
	anyStatus      statuses = iota
	redirectStatus          // only those of a redirect
	ownStatus               // the reply decides itself
)

func (s statuses) allow(status int) bool {
	switch s {
	case redirectStatus:
		return isRedirect(status)
	case ownStatus:
		return false
	default:
		return status >= 200 && status <= 599
	}
}

// JSON answers 200 with v encoded by json/v2, as application/json. What cannot be encoded is
// answered as 500.
func JSON(v any) *Reply {
	return &Reply{contentType: jsonContentType[0], body: bodyJSON, content: v}
}

// HTML answers 200 with a page in UTF-8. It escapes nothing: the page comes from html/template or
// is a constant.
func HTML(page string) *Reply { return Bytes("text/html; charset=utf-8", []byte(page)) }

// Text answers 200 with plain text in UTF-8.
func Text(text string) *Reply { return Bytes("text/plain; charset=utf-8", []byte(text)) }

// Bytes answers 200 with data of the media type given. data is not copied.
func Bytes(contentType string, data []byte) *Reply {
	return &Reply{contentType: contentType, body: bodyBytes, content: data}
}

// NoContent answers 204.
func NoContent() *Reply { return &Reply{status: http.StatusNoContent} }

// Redirect answers 303 (See Other) with a place on this server: a path, with query and fragment if
// need be. Anything a browser could take for another host is answered as 400, so that a target from
// the request ("?next=…") is safe: it must begin with one "/", and have no second one nor a
// backslash after it, and no space or control character anywhere. Status changes it to 301, 302,
// 307 or 308.
func Redirect(path string) *Reply {
	p := &Reply{status: http.StatusSeeOther, allows: redirectStatus}
	local := strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") &&
		!strings.Contains(path, `\`) && visible(path)
	if _, err := url.Parse(path); err != nil || !local {
		return p.fail(NewHTTPError(http.StatusBadRequest,
			"The target of the redirect must be a path on this server."))
	}
	return p.Header("Location", httpheader.ASCII(path))
}

// RedirectExternal answers 303 (See Other) with any http or https URL. The URL must be the
// program's own, or checked by it: a target from the request would let anyone use this server to
// send people elsewhere. What is no absolute URL is answered as 500.
func RedirectExternal(target string) *Reply {
	p := &Reply{status: http.StatusSeeOther, allows: redirectStatus}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		!visible(target) || strings.Contains(target, `\`) {
		return p.fail(fmt.Errorf("asgi: %q is not an absolute http or https URL", target))
	}
	return p.Header("Location", httpheader.ASCII(target))
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// visible reports that there is no space and no control character: browsers drop tabs and line
// breaks from a URL before they look at it, which makes "/\t/evil.example" another host.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f })
}

// Status sets the status, from 200 to 599; of a redirect one of 301, 302, 303, 307 and 308. Another
// status is answered as 500. With 204, 205 and 304 the body is left out. SSE, File and FileFS have
// statuses of their own and allow no other.
func (p *Reply) Status(status int) *Reply {
	p.status = int32(min(max(status, -1), 1000)) // what is cut here is refused as well
	return p
}

// Header sets a header of the answer, in place of what the handler or a middleware had set.
// Content-Length is not for it.
func (p *Reply) Header(name, value string) *Reply {
	if p.header == nil {
		p.header = make(http.Header)
	}
	p.header.Set(name, value)
	return p
}

// Cookie adds a cookie. One that is not valid is answered as 500.
func (p *Reply) Cookie(c Cookie) *Reply {
	header, err := c.header()
	if err != nil {
		return p.fail(err)
	}
	if p.header == nil {
		p.header = make(http.Header)
	}
	p.header.Add("Set-Cookie", header)
	return p
}

// Attachment makes the browser save the answer under a file name, of which any path and control
// characters are cut (RFC 6266).
func (p *Reply) Attachment(filename string) *Reply {
	return p.Header("Content-Disposition", httpheader.Disposition("attachment", filename))
}

func (p *Reply) fail(err error) *Reply {
	if p.body != bodyFailed {
		p.body, p.content = bodyFailed, err
	}
	return p
}

var errNoResponse = errors.New("asgi: the handler returned neither a response nor an error")

// WriteResponse writes the reply; see Response.
func (p *Reply) WriteResponse(w http.ResponseWriter, r *http.Request) error {
	if p == nil {
		return errNoResponse
	}
	status := http.StatusOK
	if p.status != 0 {
		if status = int(p.status); !p.allows.allow(status) {
			return fmt.Errorf("asgi: status %d is not one for this response", status)
		}
	}
	switch p.body {
	case bodyFailed:
		return p.content.(error)
	case bodyJSON:
		return writeJSON(w, status, typed.MarshalWrite, p.content, p.header)
	case bodyStream:
		writeHeaders(w.Header(), p.header)
		rw, ok := w.(*respwriter.Writer)
		if !ok {
			rw = respwriter.New(w, nil)
		}
		return p.content.(streamBody)(rw, r, status)
	default:
		data, _ := p.content.([]byte)
		writeHeaders(w.Header(), p.header)
		writeBytes(w, status, p.contentType, data)
		return nil
	}
}

func writeHeaders(h, more http.Header) {
	for name, values := range more {
		if name == "Set-Cookie" { // beside those of the session and the like
			h[name] = append(h[name], values...)
			continue
		}
		h[name] = values
	}
}

// writeJSON has encode write v before it writes anything, so that a value that cannot be encoded is
// still answered. header may be nil.
func writeJSON(w http.ResponseWriter, status int, encode func(io.Writer, any) error, v any,
	header http.Header,
) error {
	buf := bodyBuffers.Get().(*bytes.Buffer)
	buf.Reset()
	defer putBuffer(buf)
	if err := encode(buf, v); err != nil {
		return fmt.Errorf("asgi: encode the response: %w", err)
	}
	if header != nil {
		writeHeaders(w.Header(), header)
	}
	writeBytes(w, status, "application/json", buf.Bytes())
	return nil
}

// The value slices are shared by all answers; len equals cap, so that an append makes a new one.
var jsonContentType = []string{"application/json"}

// writeBytes writes a whole answer. Headers that are set already stay, except Content-Length, which
// must be right.
func writeBytes(w http.ResponseWriter, status int, contentType string, data []byte) {
	h := w.Header()
	if !bodyAllowed(status) {
		h.Del("Content-Length")
		w.WriteHeader(status)
		return
	}
	if contentType != "" && h["Content-Type"] == nil {
		if contentType == jsonContentType[0] {
			h["Content-Type"] = jsonContentType
		} else {
			h["Content-Type"] = []string{contentType}
		}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(data))}
	if status != http.StatusOK {
		w.WriteHeader(status)
	}
	// net/http drops the body of an answer to HEAD. An error means the client is gone: nobody is
	// left to tell.
	_, _ = w.Write(data)
}

// bodyAllowed is RFC 9110 sections 15.3.5, 15.3.6 and 15.4.5.
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusResetContent &&
		status != http.StatusNotModified
}
