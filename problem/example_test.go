package problem_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/genropy/genro-asgi-go/problem"
)

func ExampleWrite() {
	handler := func(w http.ResponseWriter, r *http.Request) {
		problem.Write(w, r,
			fmt.Errorf("select order 7: %w", problem.NotFound("There is no such order.")))
	}
	w := httptest.NewRecorder()
	handler(w, httptest.NewRequest(http.MethodGet, "/orders/7", nil))
	fmt.Println(w.Code, w.Body)
	// Output: 404 {"title":"Not Found","status":404,"detail":"There is no such order."}
}

// A program tells one problem from another by its code, and a log has its cause too.
func ExampleError() {
	err := &problem.Error{
		Status: http.StatusConflict, Code: "SOLD_OUT", Detail: "So much is not left.",
		Err: errors.New("stock: none in warehouse 4"),
	}
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequest(http.MethodPost, "/buy", nil), err)
	fmt.Println(w.Body)
	fmt.Println(err)
	// Output:
	// {"title":"Conflict","status":409,"detail":"So much is not left.","code":"SOLD_OUT"}
	// 409 Conflict SOLD_OUT: So much is not left.: stock: none in warehouse 4
}

// Of tells what a caller may know: of an error of a library that is nothing.
func ExampleOf() {
	wrong := errors.Join(
		problem.Field{Pointer: "/item", Detail: "is required"},
		problem.Field{Pointer: "/count", Detail: "must be 1 or more"},
	)
	for _, err := range []error{
		fmt.Errorf("buy: %w", problem.NotFound("There is no such item.")),
		wrong,
		errors.New("dial db-7.internal: refused"),
	} {
		if p := problem.Of(err); p != nil {
			fmt.Println(p.Status, p.Detail, len(p.Fields))
		} else {
			fmt.Println("nothing")
		}
	}
	// Output:
	// 404 There is no such item. 0
	// 422 The request has invalid fields. 2
	// nothing
}

// One place says what the errors of a program's packages mean to its callers.
func ExampleWithOptions() {
	errBanned := errors.New("shop: banned")
	options := &problem.Options{Map: func(_ *http.Request, err error) *problem.Error {
		if errors.Is(err, errBanned) {
			return problem.Forbidden("You may not shop here.")
		}
		return nil // by the rules of Write
	}}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r = r.WithContext(problem.WithOptions(context.Background(), options))
	w := httptest.NewRecorder()
	problem.Write(w, r, errBanned)
	fmt.Println(w.Body)
	// Output: {"title":"Forbidden","status":403,"detail":"You may not shop here."}
}
