package asgi

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
)

// Handle makes an http.HandlerFunc of a typed function, the same that can serve a WSX call:
//
//	type GetOrder struct {
//		ID    int    `path:"id" json:"id"`
//		Lang  string `header:"Accept-Language" json:"lang"`
//		Limit int    `query:"limit" json:"limit"`
//	}
//	r.Get("/orders/{id}", asgi.Handle(getOrder)) // func(context.Context, GetOrder) (Order, error)
//
// In is filled from the request. A struct field with a tag path, query, header or cookie comes from there and nowhere
// else: a body that has it as well is refused. It is a string, bool, number, time.Time (RFC 3339), time.Duration, an
// encoding.TextUnmarshaler, a pointer to one of them, which stays nil where the value is missing, or, of a query or
// header, a slice. All other fields come from the JSON body by their json tags, as Request.JSON reads it; a type
// without such fields needs no body and reads none, and GET, HEAD and DELETE may come without. Fields of embedded
// structs count as the struct's own. An In that is no struct, or decodes itself, comes from the body as a whole. A
// pointer to any of these is filled alike, and never nil.
//
// What does not fit is answered as 422, naming all wrong fields in the problem's member "errors" by their place (FieldError).
// If In or *In has a method Validate() error, it is called last; a FieldError, several joined by errors.Join, or an *HTTPError
// it returns reach the client, the text of another error does not, and the status is 422.
//
// Out is answered as JSON with 200, or with the status that its method StatusCode() int gives; struct{} as 204. An Out that
// is a Response is written as it is. An error is answered by WriteError.
//
// The function's context leads to the request by RequestFrom. Handle panics if In cannot be filled: if a tagged field
// has another type or two tags, if two fields share a name, or if a part of it can come from no JSON.
func Handle[In, Out any](fn func(context.Context, In) (Out, error)) http.HandlerFunc {
	if fn == nil {
		panic("asgi: Handle without a function")
	}
	t := reflect.TypeFor[In]()
	isPointer := t.Kind() == reflect.Pointer
	if isPointer {
		t = t.Elem()
	}
	b := newBinder(t)
	write := outputOf[Out]()
	return func(w http.ResponseWriter, hr *http.Request) {
		r := &Request{http: hr, writer: w}
		defer r.close()
		var in In
		var target any = &in
		if isPointer {
			target = reflect.New(t).Interface()
			in = target.(In)
		}
		if err := b.bind(r, target); err != nil {
			WriteError(w, hr, err)
			return
		}
		out, err := fn(r.Context(), in)
		if err == nil {
			err = write(r, &out)
		}
		if err != nil {
			WriteError(w, hr, err)
		}
	}
}

type coder interface{ StatusCode() int }

// outputOf chooses how values of type Out are answered.
func outputOf[Out any]() func(*Request, *Out) error {
	t := reflect.TypeFor[Out]()
	dynamic := t.Kind() == reflect.Interface
	isResponse := t.Implements(reflect.TypeFor[Response]())
	// A pointer to a pointer has no methods, hence both.
	coded := dynamic || t.Implements(reflect.TypeFor[coder]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[coder]())
	return func(r *Request, out *Out) error {
		if dynamic || isResponse {
			if value, ok := any(*out).(Response); ok {
				r.answer(value)
				return nil
			}
			if isResponse {
				return errNoResponse
			}
		}
		status := http.StatusOK
		if _, empty := any(out).(*struct{}); empty {
			status = http.StatusNoContent
		}
		if coded {
			if value, ok := statusCoder(out); ok {
				if status = value.StatusCode(); status < 200 || status > 599 {
					return fmt.Errorf("asgi: status %d of %v is not one for a response", status, t)
				}
			}
		}
		if err := writeJSON(r.writer, status, out, nil); err != nil {
			return err
		}
		r.after.start()
		return nil
	}
}

// statusCoder finds StatusCode on the value or on the pointer to it; a nil pointer, answered as null, has none to ask.
func statusCoder[Out any](out *Out) (coder, bool) {
	if v := reflect.ValueOf(out).Elem(); v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, false
	}
	if value, ok := any(*out).(coder); ok {
		return value, true
	}
	value, ok := any(out).(coder)
	return value, ok
}
