package taskshttp_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
)

// A client submits a task and, by wait in the query, waits for its end. An Idempotency-Key would
// make the request safe to repeat.
func ExampleHandler() {
	ctx := context.Background()
	jobs := tasks.New(memstore.New(), nil)
	tasks.Register(jobs, "double", 1,
		func(_ context.Context, n int) (int, error) { return 2 * n, nil }, nil)
	if err := jobs.Start(ctx); err != nil { // as an asgi.App does with its components
		log.Fatal(err)
	}
	defer func() { _ = jobs.Stop(ctx) }()

	mux := http.NewServeMux()
	mux.Handle("/tasks/", http.StripPrefix("/tasks", taskshttp.Handler(jobs, &taskshttp.Options{
		Kinds: []string{"double"},
	})))
	server := httptest.NewServer(mux)
	defer server.Close()

	answer, err := http.Post(server.URL+"/tasks/double?wait=10s", "application/json",
		strings.NewReader("21"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	fmt.Println(answer.Status)

	result, err := http.Get(server.URL + answer.Header.Get("Location") + "/result")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer result.Body.Close()
	body, err := io.ReadAll(result.Body)
	fmt.Println(result.Status, string(body), err)
	// Output:
	// 200 OK
	// 200 OK 42 <nil>
}
