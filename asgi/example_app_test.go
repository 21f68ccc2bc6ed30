package asgi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
)

// A webhook's sender adds members at will, which Lenient drops.
func ExampleHandleWith() {
	type event struct {
		Order int `json:"order"`
	}
	hook := asgi.HandleWith(func(_ context.Context, in event) (string, error) {
		return fmt.Sprint("order ", in.Order), nil
	}, &asgi.HandleOptions{Lenient: true})
	show(hook, "POST", "/hook", `{"order":7,"carrier":"bike"}`)
	// Output: 200 "order 7"
}

func ExampleLimits_Wrap() {
	echo := asgi.Handle(func(_ context.Context, in []int) (int, error) { return len(in), nil })
	short := (&asgi.Limits{Body: 8}).Wrap(echo)
	for _, body := range []string{`[1,2,3]`, `[1,2,3,4]`} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		short.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// 200
	// 413
}

// A middleware that knows its proxy tells what the client asked for.
func ExampleContextWithForwarded() {
	where := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		return asgi.Text(r.URL().String() + " for " + r.Client().Host), nil
	})
	behindProxy := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(asgi.ContextWithForwarded(r.Context(), asgi.Forwarded{
				Scheme: "https",
				Host:   "shop.example",
				Client: asgi.ParseAddress(r.Header.Get("X-Real-Ip")),
			})))
		})
	}
	r := httptest.NewRequest("GET", "http://10.0.0.1:8080/tea", nil)
	r.Header.Set("X-Real-Ip", "192.0.2.7")
	w := httptest.NewRecorder()
	behindProxy(where).ServeHTTP(w, r)
	fmt.Println(w.Body)
	// Output: https://shop.example/tea for 192.0.2.7
}

// The validator of an app looks at every input; what it returns reaches the client as fields.
func ExampleContextWithValidator() {
	type buy struct {
		Count int `json:"count"`
	}
	validate := func(v any) error {
		if in, ok := v.(*buy); ok && in.Count < 1 {
			return asgi.FieldError{Pointer: "/count", Detail: "must be 1 or more"}
		}
		return nil
	}
	app := asgi.New(asgi.Handle(func(_ context.Context, in buy) (int, error) {
		return 150 * in.Count, nil
	}))
	app.Validator = validate // ContextWithValidator, for each request
	show(app, "POST", "/", `{"count":0}`)
	// Output:
	// 422 {"title":"Unprocessable Entity","status":422,"detail":"The request has invalid fields.",
	//  "errors":[{"in":"body","pointer":"/count","detail":"must be 1 or more"}]}
}

func ExampleRequest_Form() {
	upload := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		form, err := r.Form()
		if err != nil {
			return nil, err
		}
		copies, err := form.Int("copies", 1)
		if err != nil {
			return nil, err
		}
		return asgi.Text(fmt.Sprintf("%s, %d copies", form.Get("title"), copies)), nil
	})
	r := httptest.NewRequest("POST", "/", strings.NewReader("title=Tea+and+us&copies=3"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	upload(w, r)
	fmt.Println(w.Body)
	// Output: Tea and us, 3 copies
}

// A target from the request cannot lead to another server.
func ExampleRedirect() {
	next := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		return asgi.Redirect(r.Query().Get("next")), nil
	})
	for _, target := range []string{"/orders/7", "//evil.example"} {
		w := httptest.NewRecorder()
		next(w, httptest.NewRequest("GET", "/?next="+target, nil))
		fmt.Println(w.Code, w.Header().Get("Location"))
	}
	// Output:
	// 303 /orders/7
	// 400
}

func ExampleReply_Cookie() {
	login := asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
		session := asgi.Cookie{Name: "session", Value: "K3", MaxAge: time.Hour}
		return asgi.NoContent().Cookie(session), nil
	})
	w := httptest.NewRecorder()
	login(w, httptest.NewRequest("POST", "/login", nil))
	fmt.Println(w.Code, w.Header().Get("Set-Cookie"))
	// Output: 204 session=K3; Path=/; Max-Age=3600; HttpOnly; Secure; SameSite=Lax
}

// What may last for ever watches the shutdown; ordinary requests go on to their end.
func ExampleShutdownContext() {
	waiting := make(chan struct{})
	poll := func(_ http.ResponseWriter, r *http.Request) {
		close(waiting)
		stopping := asgi.ShutdownContext(r.Context())
		<-stopping.Done()
		fmt.Println(errors.Is(context.Cause(stopping), asgi.ErrShutdown))
	}
	app := newApp(poll)
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	<-waiting
	_ = app.Stop(context.Background())
	<-answered
	// Output: true
}

func ExampleApp_Stats() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /tea", asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
		return asgi.Text("a cup of tea"), nil
	}))
	app := asgi.New(mux)
	for _, path := range []string{"/tea", "/tea", "/coffee"} {
		app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	s := app.Stats()
	fmt.Println(s.State, s.Requests.Status2xx, s.Requests.Status4xx, s.Requests.InFlight)
	fmt.Println(s.Requests.Latency.Quantile(0.99) < time.Minute)
	// Output:
	// new 2 1 0
	// true
}

func ExampleBackground() {
	jobs := asgi.NewBackground(&asgi.BackgroundOptions{Workers: 2})
	for range 3 {
		if err := jobs.Go(context.Background(), func(context.Context) error {
			fmt.Println("mail sent")
			return nil
		}); err != nil {
			fmt.Println(err) // ErrBackgroundFull, ErrBackgroundStopped
		}
	}
	_ = jobs.Stop(context.Background()) // waits for what was accepted
	// Output:
	// mail sent
	// mail sent
	// mail sent
}

func ExampleParseQuery() {
	q := asgi.ParseQuery("tag=green&tag=tea&limit=10")
	limit, err := q.Int("limit", 20)
	fmt.Println(q.Values("tag"), limit, err)
	_, err = q.Int("tag", 0)
	fmt.Println(err)
	// Output:
	// [green tea] 10 <nil>
	// 422 Unprocessable Entity: The request has invalid fields.; query /tag: must be given once
}
