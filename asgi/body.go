package asgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

var errBodyRead = errors.New("asgi: the body was read already")

// Body is the body as a stream, cut off at Limits.Body with an *HTTPError of 413 that wraps an
// *http.MaxBytesError. It can be taken
// once, and instead of Bytes, Text, JSON, Form and Parts; the second time all reading fails.
func (r *Request) Body() io.Reader {
	limit := r.limit().Body
	if err := r.takeBody(limit); err != nil {
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

// takeBody is for the one reader of the body. A body that says it is too long is refused unread; so is one in a coding
// that nobody undid, which would only look malformed.
func (r *Request) takeBody(limit int64) error {
	if r.bodyRead {
		return errBodyRead
	}
	r.bodyRead = true
	if limit >= 0 && r.http.ContentLength > limit {
		return bodyTooLarge(&http.MaxBytesError{Limit: limit})
	}
	if coding := r.http.Header["Content-Encoding"]; len(coding) > 0 && !strings.EqualFold(coding[0], "identity") {
		return NewHTTPError(http.StatusUnsupportedMediaType, "The body must have no Content-Encoding.")
	}
	return nil
}

// Bytes is the whole body. The errors are *HTTPError: 413 beyond Limits.Body, 415 for a Content-Encoding, 408 and 400 when
// the body did not come.
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

// maxPooled is the largest buffer kept for reuse; bodies beyond it are rare and would make every buffer large in time.
const maxPooled = 64 << 10

var bodyBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func putBuffer(b *bytes.Buffer) {
	if b.Cap() <= maxPooled {
		bodyBuffers.Put(b)
	}
}

// withBody reads the body into a buffer that is use's only until it returns.
func (r *Request) withBody(limit int64, use func([]byte) error) error {
	if err := r.takeBody(limit); err != nil {
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

// readBody reads one byte more than the limit at most. It is http.MaxBytesReader and io.ReadAll without their allocations.
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
			return bodyTooLarge(&http.MaxBytesError{Limit: limit})
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
		return bodyTooLarge(large)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &HTTPError{Status: http.StatusRequestTimeout, Detail: "The body took too long.", Err: err}
	}
	return &HTTPError{Status: http.StatusBadRequest, Detail: "The body could not be read.", Err: err}
}

// JSON decodes the body, which must be one JSON value of a media type application/json or +json in UTF-8, into what v
// points to. Members that v's type lacks or has in another case, duplicate names, invalid UTF-8 and data after the
// value are refused. The errors are those of Bytes, and *HTTPError with 415 for another media type, 400 for what is not
// JSON or nests beyond Limits.Depth, and 422 naming the member that does not fit, in the problem's member "errors". If
// v has a method Validate() error, it is called; see Handle for its errors.
func (r *Request) JSON(v any) error {
	if err := r.decodeJSON(v); err != nil {
		return err
	}
	if value, ok := v.(validator); ok {
		if err := value.Validate(); err != nil {
			return validationError(err)
		}
	}
	return nil
}

type validator interface{ Validate() error }

func (r *Request) decodeJSON(v any) error {
	if r.http.ContentLength == 0 {
		return errEmptyBody
	}
	if !isJSON(r.http.Header) {
		return NewHTTPError(http.StatusUnsupportedMediaType, "The body must be of type application/json.")
	}
	limits := r.limit()
	return r.withBody(limits.Body, func(body []byte) error {
		if nestsDeeper(body, limits.Depth) {
			return NewHTTPError(http.StatusBadRequest, fmt.Sprintf("The body nests more than %d levels deep.", limits.Depth))
		}
		if len(body) == 0 {
			return errEmptyBody
		}
		if err := json.Unmarshal(body, v, rejectUnknown); err != nil {
			return jsonError(err)
		}
		return nil
	})
}

var errEmptyBody = NewHTTPError(http.StatusBadRequest, "The body is empty; it must be JSON.")

var rejectUnknown = json.RejectUnknownMembers(true)

func isJSON(h http.Header) bool {
	// No media type is no JSON: a page of another site can send such a body without the browser asking first.
	value := h["Content-Type"]
	if len(value) != 1 {
		return false
	}
	if value[0] == "application/json" {
		return true
	}
	mediaType, params, err := mime.ParseMediaType(value[0])
	if err != nil || mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json") {
		return false
	}
	charset := params["charset"]
	return charset == "" || strings.EqualFold(charset, "utf-8")
}

// nestsDeeper reports whether body nests arrays and objects deeper than limit. Few bodies have as many brackets at all.
func nestsDeeper(body []byte, limit int) bool {
	if bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) <= limit {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// jsonError is the answer to a body that does not decode. It quotes nothing of the body and nothing of the library's text.
func jsonError(err error) error {
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return invalidFields(http.StatusBadRequest, err,
				FieldError{Pointer: string(syntactic.JSONPointer), Detail: givenTwice})
		}
		return &HTTPError{
			Status: http.StatusBadRequest,
			Detail: fmt.Sprintf("The body is not valid JSON at byte %d.", syntactic.ByteOffset),
			Err:    err,
		}
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		return invalidFields(http.StatusUnprocessableEntity, err,
			FieldError{Pointer: string(semantic.JSONPointer), Detail: semanticDetail(semantic)})
	}
	return &HTTPError{Status: http.StatusUnprocessableEntity, Detail: "The body is not valid.", Err: err}
}

func semanticDetail(err *json.SemanticError) string {
	if errors.Is(err, json.ErrUnknownName) {
		return "is not known here"
	}
	t := err.GoType
	if t == nil {
		return notText
	}
	number := err.JSONKind == jsontext.KindNumber
	switch t.Kind() {
	case reflect.Bool:
		return notBool
	case reflect.String:
		return "must be a string"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		if number && !bytes.ContainsAny(err.JSONValue, ".eE") {
			return outOfRange
		}
		return notInteger
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		if number && !bytes.ContainsAny(err.JSONValue, ".eE-") {
			return outOfRange
		}
		return notUnsigned
	case reflect.Float32, reflect.Float64:
		if number {
			return outOfRange
		}
		return "must be a number"
	}
	if t == timeType {
		return notTime
	}
	if err.JSONKind == jsontext.KindBeginObject || err.JSONKind == jsontext.KindBeginArray || err.Err == nil {
		switch t.Kind() {
		case reflect.Slice, reflect.Array:
			return "must be an array"
		case reflect.Struct, reflect.Map:
			return "must be an object"
		}
	}
	return notText
}
