package asgi

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"mime"
	"mime/multipart"
	"net/http"
)

// Form is a submitted form: its fields, with the typed getters of QueryParams, and its files.
type Form struct {
	QueryParams

	// Files are the uploaded files by field name. They are there until the handler returns. Their names and types are the
	// client's claim: never a path, never to be trusted.
	Files map[string][]*multipart.FileHeader
}

const formTypes = "The body must be of type multipart/form-data or application/x-www-form-urlencoded."

// Form reads the body as a form, of type application/x-www-form-urlencoded or multipart/form-data. A later call gives the
// same form. The errors are those of Bytes, and *HTTPError with 415 for another type and 400 for what is malformed.
// The whole body counts against Limits.Body; parts beyond Limits.Parts are refused with 413.
func (r *Request) Form() (*Form, error) {
	if r.form != nil {
		return r.form, nil
	}
	mediaType, _, _ := mime.ParseMediaType(r.http.Header.Get("Content-Type"))
	form := &Form{}
	switch mediaType {
	case "application/x-www-form-urlencoded":
		text, err := r.Text()
		if err != nil {
			return nil, err
		}
		if form.QueryParams = parsePairs(text, true); form.err != nil {
			return nil, form.err
		}
	case "multipart/form-data":
		reader, err := r.multipart()
		if err != nil {
			return nil, err
		}
		limits := r.limit()
		parsed, err := reader.ReadForm(max(limits.Memory, 0))
		if err != nil {
			return nil, multipartError(err)
		}
		r.temp = parsed
		parts := 0
		for _, values := range parsed.Value {
			parts += len(values)
		}
		for _, files := range parsed.File {
			parts += len(files)
		}
		if parts > limits.Parts {
			return nil, tooManyParts(limits.Parts)
		}
		form.QueryParams = valuesParams(parsed.Value, true)
		form.Files = parsed.File
	default:
		return nil, NewHTTPError(http.StatusUnsupportedMediaType, formTypes)
	}
	r.form = form
	return form, nil
}

// Parts reads the parts of a multipart body one after the other, without keeping any; a part can be read until the next
// one is asked for. The sequence ends after the first error, which is as for Form. It can be ranged over once.
func (r *Request) Parts() iter.Seq2[*multipart.Part, error] {
	return func(yield func(*multipart.Part, error) bool) {
		reader, err := r.multipart()
		if err != nil {
			yield(nil, err)
			return
		}
		limit := r.limit().Parts
		for n := 0; ; n++ {
			part, err := reader.NextPart()
			switch {
			case err == io.EOF:
				return
			case err != nil:
				yield(nil, multipartError(err))
				return
			case n == limit:
				yield(nil, tooManyParts(limit))
				return
			}
			if !yield(part, nil) {
				return
			}
		}
	}
}

func (r *Request) multipart() (*multipart.Reader, error) {
	mediaType, params, err := mime.ParseMediaType(r.http.Header.Get("Content-Type"))
	switch {
	case err != nil || mediaType != "multipart/form-data" && mediaType != "multipart/mixed":
		return nil, NewHTTPError(http.StatusUnsupportedMediaType, "The body must be of type multipart/form-data.")
	case params["boundary"] == "":
		return nil, NewHTTPError(http.StatusBadRequest, "The multipart body has no boundary.")
	}
	return multipart.NewReader(r.Body(), params["boundary"]), nil
}

func multipartError(err error) error {
	if answer, ok := errors.AsType[*HTTPError](err); ok { // the body's own
		return answer
	}
	if errors.Is(err, errBodyRead) {
		return err
	}
	if errors.Is(err, multipart.ErrMessageTooLarge) {
		return &HTTPError{Status: http.StatusRequestEntityTooLarge, Detail: "The form is too large.", Err: err}
	}
	return &HTTPError{Status: http.StatusBadRequest, Detail: "The multipart body is not well formed.", Err: err}
}

func tooManyParts(limit int) error {
	return NewHTTPError(http.StatusRequestEntityTooLarge, fmt.Sprintf("The form is limited to %d parts.", limit))
}
