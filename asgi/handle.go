package asgi

import (
	"context"
	"fmt"
	"net/http"
	"reflect"

	"github.com/genropy/genro-asgi-go/internal/describe"
	"github.com/genropy/genro-asgi-go/internal/respwriter"
	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/openapi"
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
// In is filled from the request. A struct field with a tag path, query, header, cookie or form
// comes from there and nowhere else: a body that has it as well is refused. It is a string, bool,
// number, time.Time (RFC 3339), time.Duration, an encoding.TextUnmarshaler, a pointer to one of
// them, which stays nil where the value is missing, or, of a query, header or form, a slice. Text
// is UTF-8. An empty value of anything but a string is missing, unless it is a path's, as a form
// sends it for a field left empty; a bool may be on or off. Host is a header. Objects in a query
// (filter[name]=…) are not read.
//
// A form is of type multipart/form-data or application/x-www-form-urlencoded; a field *[FormFile],
// or []*FormFile for several, is what was uploaded under its name, until the function returns. What
// a form has beyond the fields is dropped. An In with form fields has no JSON body.
//
// All other fields come from the JSON body by their json tags, as Request.JSON reads it; a type
// without such fields needs no body and reads none, and GET, HEAD and DELETE may come without.
// Fields of embedded structs count as the struct's own. An In that is no struct, or decodes itself,
// comes from the body as a whole. A pointer to any of these is filled alike, and never nil.
//
// A field with a tag `default:"20"` has that value where it is missing; see HandleOptions.Lenient
// for members of the body that In lacks. What does not fit is answered as 422, naming all wrong
// fields in the problem's member "errors" by their place (FieldError). Then the app's validator
// looks at In (ContextWithValidator), and the method Validate() error of In or *In is called; a
// FieldError, several joined by errors.Join, or an *HTTPError they return reach the client, the
// text of another error does not, and the status is 422.
//
// Out is answered as JSON with 200, and struct{} as 204. It says more by its fields:
//
//	type Created struct {
//		_        struct{} `status:"201"`
//		Location string   `header:"Location" json:"-"`
//		Order
//	}
//
// A tag status is the status, or has all that may be answered, as in `status:"200,202"`: the field
// is an int then, and the first is that of 0. (A method StatusCode() int gives any status from 200
// to 599 instead.) A field with a tag header and json:"-" or omitzero is a header of the answer,
// unless it is zero: a string, bool, number, time.Time in HTTP's format, an encoding.TextMarshaler,
// or a []string, one line each; for Set-Cookie a [Cookie] or []Cookie. An Out that is a [Response]
// is written as it is. An error is answered by WriteError.
//
// The function's context leads to the request by RequestFrom. Handle panics if In cannot be filled
// or Out not be answered: if a tagged field has another type or two tags, if two fields share a
// name, if a default does not fit, or if a part of it can be no JSON, such as a channel or an
// io.Reader.
func Handle[In, Out any](fn func(context.Context, In) (Out, error)) http.HandlerFunc {
	return HandleWith(fn, nil)
}

// HandleOptions say more of one typed handler. Nil and the zero value say nothing.
type HandleOptions struct {
	// Lenient takes a JSON body with members that In lacks, and drops them. It is for senders that
	// add members at will, such as webhooks; default false, which refuses them.
	Lenient bool
	// Operation is what the OpenAPI document says of the route beyond its types.
	Operation openapi.Operation
}

// HandleWith is Handle with options:
//
//	r.Get("/orders/{id}", asgi.HandleWith(getOrder, &asgi.HandleOptions{
//		Operation: openapi.Operation{
//			Summary: "One order", Tags: []string{"orders"}, Errors: []int{http.StatusNotFound},
//		},
//	}))
//
// opts may be nil.
//
//go:noinline
func HandleWith[In, Out any](fn func(context.Context, In) (Out, error),
	opts *HandleOptions,
) http.HandlerFunc {
	if fn == nil {
		panic("asgi: Handle without a function")
	}
	if opts == nil {
		opts = &HandleOptions{}
	}
	operation, members := opts.Operation, typed.Members(opts.Lenient)
	t := reflect.TypeFor[In]()
	isPointer := t.Kind() == reflect.Pointer
	if isPointer {
		t = t.Elem()
	}
	b := newBinder(t, members)
	write := outputOf[Out]()
	return func(w http.ResponseWriter, hr *http.Request) {
		if p, ok := w.(*describe.Probe); ok {
			p.Add(operationOf(describe.FunctionName(fn), t, reflect.TypeFor[Out](),
				b.input.Validates(), operation))
			return
		}
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
	coded := dynamic || t.Implements(reflect.TypeFor[coder]()) ||
		reflect.PointerTo(t).Implements(reflect.TypeFor[coder]())
	o := &output{json: &typed.Output{}}
	if !isResponse {
		o = newOutput(t)
	}
	if coded && o.statuses != nil {
		panic(fmt.Sprintf("asgi: Handle: %v has both a status tag and a method StatusCode", t))
	}
	encode := o.json.Write
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
		tagged, header, err := o.answer(out)
		if err != nil {
			return err
		}
		if tagged != 0 {
			status = tagged
		}
		if coded {
			if value, ok := statusCoder(out); ok {
				if status = value.StatusCode(); !isAnswer(status) {
					return fmt.Errorf("asgi: status %d of %v is not one for a response", status, t)
				}
			}
		}
		if err := writeJSON(r.writer, status, encode, out, header); err != nil {
			return err
		}
		r.after.start()
		return nil
	}
}

// statusCoder finds StatusCode on the value or on the pointer to it; a nil pointer, answered as
// null, has none to ask.
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

// ContextWithValidator sets the validator of requests with this context; the innermost counts. It
// gets a pointer to each input that is a struct, once that is decoded and before its own method
// Validate() error is called, and says what is wrong: fields, as FieldErrors, alone or joined by
// errors.Join, or an *HTTPError. The text of any other error reaches the log only. The functions of
// other doors that are reached through the request, such as a wsx.Server, a tasks.Manager or an
// executor.Executor, have the same one unless their options name another. It is called by many
// goroutines at a time.
//
// Struct of github.com/go-playground/validator/v10 is such a function; docs/validation.md shows how
// its errors become fields.
func ContextWithValidator(ctx context.Context, validate func(v any) error) context.Context {
	return typed.WithValidator(ctx, validate)
}

// Respond makes an http.HandlerFunc of a function that gives a response or an error:
//
//	r.Get("/orders/{id}", asgi.Respond(showOrder))
//
// The OpenAPI document of the app knows nothing of it but what openapi.Describe around it says.
//
// An error is answered by WriteError. Neither of both is an error too. A panic goes on to the
// middleware or server outside, after temporary files are removed.
func Respond(fn func(*Request) (Response, error)) http.HandlerFunc {
	if fn == nil {
		panic("asgi: Respond without a function")
	}
	return func(w http.ResponseWriter, hr *http.Request) {
		r := &Request{http: hr, writer: w}
		defer r.close()
		if err := r.readAhead(false); err != nil {
			WriteError(w, hr, err)
			return
		}
		response, err := fn(r)
		if err == nil && response == nil {
			err = errNoResponse
		}
		if err != nil {
			WriteError(w, hr, err)
			return
		}
		r.answer(response)
	}
}

// answer writes the response and then starts what waits for that.
func (r *Request) answer(response Response) {
	w := r.writer
	if reply, ok := response.(*Reply); !ok || reply != nil && reply.body == bodyStream {
		w = respwriter.New(w, nil) // tells an error that can be answered from one that cannot
	}
	if err := response.WriteResponse(w, r.http); err != nil {
		WriteError(w, r.http, err)
		return
	}
	r.after.start()
}
