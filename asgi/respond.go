package asgi

import (
	"net/http"

	"github.com/genropy/genro-asgi-go/internal/respwriter"
)

// Respond makes an http.HandlerFunc of a function that gives a response or an error:
//
//	r.Get("/orders/{id}", asgi.Respond(showOrder))
//
// An error is answered by WriteError. Neither of both is an error too. A panic goes on to the middleware or server
// outside, after temporary files are removed.
func Respond(fn func(*Request) (Response, error)) http.HandlerFunc {
	if fn == nil {
		panic("asgi: Respond without a function")
	}
	return func(w http.ResponseWriter, hr *http.Request) {
		r := &Request{http: hr, writer: w}
		defer r.close()
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
