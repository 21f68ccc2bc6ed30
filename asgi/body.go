package asgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"

	"github.com/genropy/genro-asgi-go/internal/input"
	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
)

var errBodyRead = errors.New("asgi: the body was read already")

// Body is the body as a stream, cut off at Limits.Body with an *HTTPError of 413 that wraps an
// *http.MaxBytesError. The body can be had once: by Body or by one of Bytes, Text, JSON, Form and
// Parts. Whatever reads it a second time fails.
func (r *Request) Body() io.Reader {
	limit := r.limit().Body
	if err := r.claimBody(limit); err != nil {
		return bodyReader{err: err}
	}
	if limit < 0 {
		return bodyReader{body: r.http.Body}
	}
	return bodyReader{body: http.MaxBytesReader(r.writer, r.http.Body, limit)}
}

// bodyReader gives its errors the status they are answered with.
type bodyReader struct {
	body io.Reader
	err  error
}

func (b bodyReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = bodyError(err)
	}
	return n, err
}

// claimBody makes the caller the one reader of the body. A body that announces to be longer than
// limit is refused unread. So is one in a coding that nobody undid, which would look malformed.
func (r *Request) claimBody(limit int64) error {
	if r.bodyRead {
		return errBodyRead
	}
	r.bodyRead = true
	if limit >= 0 && r.http.ContentLength > limit {
		return problem.From(&http.MaxBytesError{Limit: limit})
	}
	if coding := r.http.Header["Content-Encoding"]; len(coding) > 0 &&
		!strings.EqualFold(coding[0], "identity") {
		return NewHTTPError(http.StatusUnsupportedMediaType,
			"The body must have no Content-Encoding.")
	}
	return nil
}

// Bytes is the whole body. The errors are *HTTPError: 413 beyond Limits.Body, 415 for a
// Content-Encoding, 408 and 400 when the body did not come.
func (r *Request) Bytes() ([]byte, error) {
	var body []byte
	err := r.withBody(r.limit().Body, func(b []byte) error {
		body = bytes.Clone(b)
		return nil
	})
	return body, err
}

// Text is the whole body as a string, whatever its bytes; errors are those of Bytes.
func (r *Request) Text() (string, error) {
	var body string
	err := r.withBody(r.limit().Body, func(b []byte) error {
		body = string(b)
		return nil
	})
	return body, err
}

// maxPooled is the largest buffer kept for reuse; bodies beyond it are rare and would make every
// buffer large in time.
const maxPooled = 64 << 10

var bodyBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func putBuffer(b *bytes.Buffer) {
	if b.Cap() <= maxPooled {
		bodyBuffers.Put(b)
	}
}

// withBody reads the body into a buffer that is use's only until it returns.
func (r *Request) withBody(limit int64, use func([]byte) error) error {
	if err := r.claimBody(limit); err != nil {
		return err
	}
	if r.http.Body == nil { // a request no server read
		return use(nil)
	}
	buf := bodyBuffers.Get().(*bytes.Buffer)
	buf.Reset()
	defer putBuffer(buf)
	if err := readBody(buf, r.http.Body, r.http.ContentLength, limit); err != nil {
		return err
	}
	return use(buf.Bytes())
}

// readBody reads one byte more than the limit at most. It is http.MaxBytesReader and io.ReadAll
// without their allocations.
func readBody(buf *bytes.Buffer, body io.Reader, announced, limit int64) error {
	if limit < 0 {
		limit = math.MaxInt64 - 1
	}
	buf.Grow(int(min(max(announced, 0), maxPooled)) + bytes.MinRead)
	for {
		free := buf.AvailableBuffer()
		free = free[:min(int64(cap(free)), limit+1-int64(buf.Len()))]
		n, err := body.Read(free)
		buf.Write(free[:n])
		switch {
		case int64(buf.Len()) > limit:
			return problem.From(&http.MaxBytesError{Limit: limit})
		case err == io.EOF:
			return nil
		case err != nil:
			return bodyError(err)
		}
		if buf.Available() < bytes.MinRead {
			buf.Grow(max(bytes.MinRead, buf.Len()))
		}
	}
}

// bodyError is the answer to a body that did not come whole.
func bodyError(err error) error {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem.From(large)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &HTTPError{
			Status: http.StatusRequestTimeout, Detail: "The body took too long.",
			Err: err,
		}
	}
	return &HTTPError{
		Status: http.StatusBadRequest, Detail: "The body could not be read.",
		Err: err,
	}
}

// JSON decodes the body, which must be one JSON value of a media type application/json or +json in
// UTF-8, into what v points to. Members that v's type lacks or has in another case, duplicate
// names, invalid UTF-8 and data after the value are refused. The errors are those of Bytes, and
// *HTTPError with 415 for another media type, 400 for what is not JSON or nests beyond
// Limits.Depth, and 422 naming the member that does not fit, in the problem's member "errors". If v
// has a method Validate() error, it is called, and so is the app's validator
// (ContextWithValidator); see Handle for their errors.
func (r *Request) JSON(v any) error {
	if err := r.decodeJSON(v, typed.Decode, false); err != nil {
		return err
	}
	if err := typed.Validate(typed.Validator(r.http.Context()), v); err != nil {
		return typed.OfValidation(reflect.TypeOf(v), err)
	}
	return nil
}

// decodeJSON has decode read the body into what v points to. One that may be missing is decoded as
// no bytes, which a length that is not announced tells only in the end.
func (r *Request) decodeJSON(v any, decode func([]byte, any) error, optional bool) error {
	length, announced := r.http.ContentLength, input.IsJSON(r.http.Header)
	switch {
	case length == 0 && optional:
		return decode(nil, v)
	case length == 0:
		return errEmptyBody
	case !announced && (length > 0 || !optional):
		return errNotJSON
	}
	limits := r.limit()
	return r.withBody(limits.Body, func(body []byte) error {
		switch {
		case len(body) == 0 && optional:
			return decode(nil, v)
		case !announced:
			return errNotJSON
		case input.NestsDeeper(body, limits.Depth):
			return NewHTTPError(http.StatusBadRequest,
				fmt.Sprintf("The body nests more than %d levels deep.", limits.Depth))
		case len(body) == 0:
			return errEmptyBody
		}
		return decode(body, v)
	})
}

var (
	errEmptyBody = NewHTTPError(http.StatusBadRequest, "The body is empty; it must be JSON.")
	errNotJSON   = NewHTTPError(http.StatusUnsupportedMediaType,
		"The body must be of type application/json.")
)

// maxReadAhead is how large a body may be, in bytes, that is read before anybody asks for it.
const maxReadAhead = 64 << 10

// readAhead reads a small body of an HTTP/1 request into memory; whoever reads the body later gets
// it from there. The reason is the end of the client: net/http watches the connection for it only
// once the body was read to its end, so that a handler which waits, and leaves the body unread,
// would never hear that its client has gone.
//
// The body is left alone where the client wants to be asked for it (Expect). One in chunks, whose
// length nobody knows, is read only if chunked is true: a handler that reads it as it comes must
// not wait for its end. The error is the answer to a body that did not come whole.
func readAhead(r *http.Request, chunked bool) error {
	switch {
	case r.ContentLength == 0 || r.ProtoMajor != 1 || r.Body == nil || r.Body == http.NoBody,
		r.ContentLength > maxReadAhead,
		r.ContentLength < 0 && !chunked, r.Header["Expect"] != nil:
		return nil
	}
	if _, done := r.Body.(*aheadBody); done {
		return nil
	}
	ahead := &aheadBody{ReadCloser: r.Body}
	if r.ContentLength > 0 {
		ahead.buffered = make([]byte, r.ContentLength)
		if _, ahead.err = io.ReadFull(r.Body, ahead.buffered); ahead.err == nil {
			ahead.err = io.EOF // all of it: there is no need to ask
		} else if errors.Is(ahead.err, io.EOF) { // before the first byte
			ahead.err = io.ErrUnexpectedEOF
		}
	} else {
		var b bytes.Buffer
		_, ahead.err = io.CopyN(&b, r.Body, maxReadAhead)
		ahead.buffered = b.Bytes()
	}
	if ahead.err != nil && !errors.Is(ahead.err, io.EOF) {
		return bodyError(ahead.err)
	}
	r.Body = ahead
	return nil
}

// readAhead reads the body ahead, unless somebody has begun to read it. close undoes it.
func (r *Request) readAhead(chunked bool) error {
	if r.bodyRead {
		return nil
	}
	_, before := r.http.Body.(*aheadBody)
	err := readAhead(r.http, chunked)
	_, after := r.http.Body.(*aheadBody)
	r.isAhead = after && !before
	return err
}

// aheadBody is a body whose beginning is in memory.
type aheadBody struct {
	io.ReadCloser
	buffered []byte // what is not read yet of it
	err      error  // what came after it, io.EOF at the end of the body; nil if there may be more
}

func (b *aheadBody) Read(p []byte) (int, error) {
	if len(b.buffered) == 0 {
		if b.err != nil {
			return 0, b.err
		}
		return b.ReadCloser.Read(p)
	}
	n := copy(p, b.buffered)
	b.buffered = b.buffered[n:]
	if len(b.buffered) == 0 && errors.Is(b.err, io.EOF) {
		return n, io.EOF
	}
	return n, nil
}
