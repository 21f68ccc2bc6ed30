package asgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"strings"
	"unicode/utf8"
)

// Form is a submitted form: its fields, with the typed getters of QueryParams, and its files.
type Form struct {
	QueryParams

	// Files are the uploaded files by field name, without those of fields in which none was chosen.
	// They are there until the handler returns.
	Files map[string][]*FormFile

	temp []string // paths of the files that are not in memory
}

// removeFiles ends what Files promises.
func (f *Form) removeFiles() {
	for _, path := range f.temp {
		_ = os.Remove(path) // what cannot be removed is the operating system's to clean
	}
}

const formTypes = "The body must be of type multipart/form-data or " +
	"application/x-www-form-urlencoded."

// Form reads the body as a form, of type application/x-www-form-urlencoded or multipart/form-data.
// A later call gives the same form. The errors are those of Bytes, and *HTTPError with 415 for
// another type and 400 for what is malformed. The whole body counts against Limits.Body; parts
// beyond Limits.Parts are refused with 413.
func (r *Request) Form() (*Form, error) {
	if r.form != nil {
		return r.form, nil
	}
	form := &Form{QueryParams: QueryParams{form: true}}
	switch mediaType, params := r.mediaType(); mediaType {
	case "application/x-www-form-urlencoded":
		text, err := r.Text()
		if err != nil {
			return nil, err
		}
		if form.QueryParams = parsePairs(text, true); form.err != nil {
			return nil, form.err
		}
	case "multipart/form-data":
		reader, err := r.multipart(params)
		if err != nil {
			return nil, err
		}
		if form, err = readForm(reader, r.limit()); err != nil {
			return nil, err
		}
	default:
		return nil, NewHTTPError(http.StatusUnsupportedMediaType, formTypes)
	}
	r.form = form
	return form, nil
}

// loadForm reads the form. A request that may lack a body may lack the form too.
func (r *Request) loadForm() error {
	if r.form == nil && r.http.ContentLength == 0 && r.mayLackBody() {
		r.form = &Form{QueryParams: QueryParams{form: true}}
		return nil
	}
	_, err := r.Form()
	return err
}

// mediaType is what the request says of its body, empty unless it says it once. Parameters that are
// malformed are none.
func (r *Request) mediaType() (mediaType string, params map[string]string) {
	if value := r.http.Header["Content-Type"]; len(value) == 1 {
		mediaType, params, _ = mime.ParseMediaType(value[0])
	}
	return mediaType, params
}

// Parts reads the parts of a multipart body one after the other, without keeping any; a part can be
// read until the next one is asked for. The sequence ends after the first error, which is as for
// Form. It can be ranged over once.
func (r *Request) Parts() iter.Seq2[*multipart.Part, error] {
	return func(yield func(*multipart.Part, error) bool) {
		mediaType, params := r.mediaType()
		if mediaType != "multipart/form-data" && mediaType != "multipart/mixed" {
			yield(nil,
				NewHTTPError(http.StatusUnsupportedMediaType,
					"The body must be of type multipart/form-data."))
			return
		}
		reader, err := r.multipart(params)
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

func (r *Request) multipart(params map[string]string) (*multipart.Reader, error) {
	if params["boundary"] == "" {
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
		return &HTTPError{
			Status: http.StatusRequestEntityTooLarge,
			Detail: "The form is too large.", Err: err,
		}
	}
	return &HTTPError{
		Status: http.StatusBadRequest,
		Detail: "The multipart body is not well formed.", Err: err,
	}
}

func tooManyParts(limit int) error {
	return NewHTTPError(http.StatusRequestEntityTooLarge,
		fmt.Sprintf("The form is limited to %d parts.", limit))
}

// maxFields is how many bytes the text fields of a multipart form may have together where
// Limits.Body sets no limit: they are kept in memory.
const maxFields = 10 << 20

// FormFile is an uploaded file. Its name and type are the client's claim: never a path, never to be
// trusted.
type FormFile struct {
	Filename string               // without any directories; may be empty
	Header   textproto.MIMEHeader // of its part
	Size     int64                // in bytes

	content []byte
	path    string // where it is kept if it is not in memory
}

// Open opens the file for reading; it is to be closed. Several can be open at once.
func (f *FormFile) Open() (multipart.File, error) {
	if f.path == "" {
		return memoryFile{bytes.NewReader(f.content)}, nil
	}
	file, err := os.Open(f.path)
	if err != nil {
		return nil, fmt.Errorf("asgi: open a file of the form: %w", err)
	}
	return file, nil
}

type memoryFile struct{ *bytes.Reader }

func (memoryFile) Close() error { return nil }

// readForm reads a multipart form. mime/multipart's own ReadForm has limits beside those of the
// request: 10 MiB of text, 1000 parts. Where it fails, no file is left behind.
func readForm(reader *multipart.Reader, limits Limits) (*Form, error) {
	f := formReader{
		form: &Form{
			QueryParams: QueryParams{form: true}, Files: make(map[string][]*FormFile),
		},
		text: maxFields, memory: max(limits.Memory, 0),
	}
	if limits.Body >= 0 {
		f.text = limits.Body
	}
	whole := false // also when a read panics
	defer func() {
		if !whole {
			f.form.removeFiles()
		}
	}()
	for n := 0; ; n++ {
		part, err := reader.NextPart()
		switch {
		case err == io.EOF: // NextPart wraps that of a body that was cut off
			whole = true
			return f.form, nil
		case err != nil:
			return nil, multipartError(err)
		case n == limits.Parts:
			return nil, tooManyParts(limits.Parts)
		case part.FormName() == "" || noFileChosen(part):
			continue // the next part skips what is left of it
		}
		add := f.addFile
		if part.FileName() == "" {
			add = f.addText
		}
		if err := add(part); err != nil {
			return nil, err
		}
	}
}

// formReader is a multipart form while it is read.
type formReader struct {
	form   *Form
	text   int64 // bytes that text fields may still have
	memory int64 // bytes that files may still take in memory
}

var errMalformedForm = NewHTTPError(http.StatusBadRequest, "The form is not well formed.")

func (f *formReader) addText(part *multipart.Part) error {
	value, err := io.ReadAll(io.LimitReader(part, f.text+1))
	if err != nil {
		return multipartError(err)
	}
	if f.text -= int64(len(value)); f.text < 0 {
		return multipartError(multipart.ErrMessageTooLarge)
	}
	if !utf8.Valid(value) || !utf8.ValidString(part.FormName()) {
		return errMalformedForm
	}
	f.form.pairs = append(f.form.pairs, pair{part.FormName(), string(value)})
	return nil
}

func (f *formReader) addFile(part *multipart.Part) error {
	field, name := part.FormName(), part.FileName()
	if !utf8.ValidString(name) || !utf8.ValidString(field) {
		return errMalformedForm
	}
	file := &FormFile{Filename: name[strings.LastIndexAny(name, `/\`)+1:], Header: part.Header}
	if err := f.keep(file, part); err != nil {
		return err
	}
	f.form.Files[field] = append(f.form.Files[field], file)
	return nil
}

// noFileChosen reports what browsers send for a file field that was left empty: a file without a
// name and content.
func noFileChosen(part *multipart.Part) bool {
	_, params, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	name, isFile := params["filename"]
	return err == nil && isFile && name == ""
}

// keep stores the content of a file in memory, or in a temporary file where it is too large.
func (f *formReader) keep(file *FormFile, content io.Reader) error {
	var head bytes.Buffer
	if _, err := io.CopyN(&head, content, f.memory+1); errors.Is(err, io.EOF) &&
		int64(head.Len()) <= f.memory {
		file.content, file.Size = head.Bytes(), int64(head.Len())
		f.memory -= file.Size
		return nil
	} else if err != nil && !errors.Is(err, io.EOF) {
		return multipartError(err)
	}
	temp, err := os.CreateTemp("", "asgi-form-")
	if err != nil {
		return fmt.Errorf("asgi: keep a file of the form: %w", err)
	}
	file.path = temp.Name()
	f.form.temp = append(f.form.temp, file.path)
	file.Size, err = io.Copy(temp, io.MultiReader(&head, content))
	if closed := temp.Close(); err == nil {
		err = closed
	}
	if _, ours := errors.AsType[*fs.PathError](err); ours {
		return fmt.Errorf("asgi: keep a file of the form: %w", err)
	}
	if err != nil {
		return multipartError(err)
	}
	return nil
}
