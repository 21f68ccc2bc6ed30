package asgi_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing/fstest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
)

// show serves one request and prints the answer, the field errors of a problem on a line of their
// own.
func show(h http.Handler, method, target, body string) {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	answer := strings.Replace(w.Body.String(), `,"errors":`, ",\n \"errors\":", 1)
	fmt.Println(w.Code, strings.TrimSpace(answer))
}

func ExampleHandle() {
	type Order struct {
		ID    int    `path:"id" json:"id"`
		Notes string `json:"notes"`
	}
	update := func(_ context.Context, in Order) (Order, error) {
		if in.ID != 7 {
			return Order{}, asgi.NewHTTPError(http.StatusNotFound, "There is no such order.")
		}
		return in, nil
	}
	mux := http.NewServeMux() // or chi
	mux.Handle("PUT /orders/{id}", asgi.Handle(update))

	show(mux, "PUT", "/orders/7", `{"notes":"by noon"}`)
	show(mux, "PUT", "/orders/8", `{"notes":"by noon"}`)
	show(mux, "PUT", "/orders/x", `{"notes":"by noon"}`)
	// Output:
	// 200 {"id":7,"notes":"by noon"}
	// 404 {"title":"Not Found","status":404,"detail":"There is no such order."}
	// 422 {"title":"Unprocessable Entity","status":422,"detail":"The request has invalid fields.",
	//  "errors":[{"in":"path","pointer":"/id","detail":"must be an integer"}]}
}

func ExampleRespond() {
	h := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		var in struct {
			Name string `json:"name"`
		}
		if err := r.JSON(&in); err != nil {
			return nil, err
		}
		return asgi.JSON("Hello "+in.Name).Status(http.StatusCreated).Header("Location",
			"/greetings/1"), nil
	})
	show(h, "POST", "/greetings", `{"name":"Ada"}`)
	show(h, "POST", "/greetings", `{"nom":"Ada"}`)
	// Output:
	// 201 "Hello Ada"
	// 422 {"title":"Unprocessable Entity","status":422,"detail":"The request has invalid fields.",
	//  "errors":[{"in":"body","pointer":"/nom","detail":"is not known here"}]}
}

func ExampleRequest_Query() {
	h := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		limit, err := r.Query().Int("limit", 20)
		if err != nil {
			return nil, err
		}
		since, err := r.Query().Time("since", time.Time{})
		if err != nil {
			return nil, err
		}
		return asgi.Text(fmt.Sprint(limit, " since ", since.Year())), nil
	})
	show(h, "GET", "/?since=2024-02-29T00:00:00Z", "")
	show(h, "GET", "/?limit=ten", "")
	// Output:
	// 200 20 since 2024
	// 422 {"title":"Unprocessable Entity","status":422,"detail":"The request has invalid fields.",
	//  "errors":[{"in":"query","pointer":"/limit","detail":"must be an integer"}]}
}

func ExampleSSE() {
	count := func(ctx context.Context, last string) iter.Seq2[asgi.Event, error] {
		return func(yield func(asgi.Event, error) bool) {
			for i := len(last) + 1; i <= 2 && ctx.Err() == nil; i++ {
				if !yield(asgi.Event{ID: strings.Repeat("i", i), Type: "count", Data: i}, nil) {
					return
				}
			}
		}
	}
	h := asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
		return asgi.SSE(count, nil), nil
	})
	show(h, "GET", "/", "")
	// Output:
	// 200 event: count
	// id: i
	// data: 1
	//
	// event: count
	// id: ii
	// data: 2
}

func ExampleFile() {
	h := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		return asgi.File(".", r.Query().Get("name")).Attachment("specification.txt"), nil
	})
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/?name=doc.go", nil)
	r.Header.Set("Range", "bytes=3-14")
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body, w.Header().Get("Content-Disposition"))
	show(h, "GET", "/?name=../go.mod", "")
	// Output:
	// 206 Package asgi attachment; filename="specification.txt"
	// 404 {"title":"Not Found","status":404}
}

func ExampleFileFS() {
	files := fstest.MapFS{"robots.txt": {Data: []byte("User-agent: *")}} // usually an embed.FS
	show(asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
		return asgi.FileFS(files, "robots.txt"), nil
	}), "GET", "/", "")
	// Output: 200 User-agent: *
}

func ExampleStreamFunc() {
	h := asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
		return asgi.StreamFunc("text/csv", func(_ context.Context, w io.Writer) error {
			_, err := io.WriteString(w, "id,name\n1,Ada\n")
			return err
		}), nil
	})
	show(h, "GET", "/", "")
	// Output:
	// 200 id,name
	// 1,Ada
}

func ExampleAfter() {
	work := asgi.NewBackground(nil) // an App does this part
	h := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		err := asgi.After(r.Context(), func(context.Context) error {
			fmt.Println("mail sent")
			return nil
		})
		return asgi.Text("thank you"), err
	})
	w := httptest.NewRecorder()
	h(w,
		httptest.NewRequestWithContext(asgi.ContextWithBackground(context.Background(), work),
			"POST", "/", nil))
	_ = work.Stop(context.Background())
	fmt.Println(w.Body)
	// Output:
	// mail sent
	// thank you
}

func ExampleKey() {
	user := asgi.NewKey[string]("user")
	h := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		name, _ := user.Get(r.State())
		return asgi.Text("Hello " + name), nil
	})
	login := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var s asgi.State
		user.Set(&s, "Ada")
		h(w, r.WithContext(asgi.ContextWithState(r.Context(), &s)))
	})
	show(login, "GET", "/", "")
	// Output: 200 Hello Ada
}

func ExampleWriteError() {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asgi.WriteError(w, r, asgi.NewHTTPError(http.StatusConflict, "The seat is taken."))
	})
	show(h, "POST", "/", "")
	// Output: 409 {"title":"Conflict","status":409,"detail":"The seat is taken."}
}
