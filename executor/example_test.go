//go:build linux

package executor_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/executor"
)

// Functions of worker processes are registered in package variables.
var (
	sum = executor.NewFunc("example: sum", func(_ context.Context, in []int) (int, error) {
		total := 0
		for _, n := range in {
			total += n
		}
		return total, nil
	})
	forever = executor.NewFunc("example: forever", func(context.Context, struct{}) (int, error) {
		for n := 0; ; n++ {
			if n < 0 {
				return n, nil
			}
		}
	})
	steps = executor.NewFunc("example: steps", func(ctx context.Context, n int) (string, error) {
		for i := range n {
			if err := executor.Progress(ctx, i+1); err != nil {
				return "", err
			}
		}
		return "done", nil
	})
)

func Example() {
	// main begins with executor.Main(); here TestMain does.
	ctx := context.Background()
	ex := executor.New(&executor.Options{Workers: 2})
	if err := ex.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer stop(ex)

	total, err := sum.Run(ctx, ex, []int{1, 2, 3})
	fmt.Println(total, err)

	hurry, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = forever.Run(hurry, ex, struct{}{})
	fmt.Println("killed:", errors.Is(err, context.DeadlineExceeded))
	// Output:
	// 6 <nil>
	// killed: true
}

func ExampleFunc_RunWith() {
	ctx := context.Background()
	ex := executor.New(&executor.Options{Workers: 1})
	if err := ex.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer stop(ex)
	result, err := steps.RunWith(ctx, ex, 3, &executor.CallOptions{
		Key:      "tenant 7",
		Progress: func(value jsontext.Value) { fmt.Println("step", value) },
	})
	fmt.Println(result, err)
	// Output:
	// step 1
	// step 2
	// step 3
	// done <nil>
}

func ExampleRunBlocking() {
	ctx := context.Background()
	ex := executor.New(
		&executor.Options{Classes: map[string]executor.ClassOptions{"db": {Concurrency: 4}}})
	defer stop(ex)
	rows, err := executor.RunBlockingWith(ctx, ex, func(context.Context) (int, error) {
		return 42, nil // a call that blocks
	}, &executor.CallOptions{Class: "db"})
	fmt.Println(rows, err)
	// Output: 42 <nil>
}

func ExampleHandler() {
	ctx := context.Background()
	ex := executor.New(&executor.Options{Workers: 1})
	if err := ex.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer stop(ex)
	handler := executor.Handler(ex, sum, nil)

	for _, body := range []string{`[20, 22]`, `"what?"`} {
		r := httptest.NewRequest("POST", "/sum", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(w.Code, strings.ReplaceAll(w.Body.String(), `,"errors"`, "\n  ,\"errors\""))
	}
	// Output:
	// 200 42
	// 422 {"title":"Unprocessable Entity","status":422,"detail":"The request has invalid fields."
	//   ,"errors":[{"in":"body","pointer":"","detail":"must be an array"}]}
}

// stop ends ex when an example ends.
func stop(ex *executor.Executor) {
	if err := ex.Stop(context.Background()); err != nil {
		log.Fatal(err)
	}
}

type requestKey struct{}

// continueRequest is around the functions in worker processes: main gives it to executor.UseWorker,
// before executor.Main(); here TestMain does.
func continueRequest(ctx context.Context, c *executor.CallInfo,
	next func(ctx context.Context) error,
) error {
	return next(context.WithValue(ctx, requestKey{}, c.Meta["request"]))
}

// whose is a function that wants to know whose request it works for.
var whose = executor.NewFunc("example: whose",
	func(ctx context.Context, _ struct{}) (string, error) {
		return fmt.Sprint("request ", ctx.Value(requestKey{})), nil
	})

// What the middleware of the caller puts into Meta the middleware of the worker finds there.
func ExampleMiddleware() {
	ctx := context.Background()
	sendRequest := func(ctx context.Context, c *executor.CallInfo,
		next func(ctx context.Context) error,
	) error {
		c.Meta = map[string]string{"request": ctx.Value(requestKey{}).(string)}
		err := next(ctx)
		fmt.Printf("%s in a worker: %t, error: %v\n", c.Func, c.PID != 0, err)
		return err
	}
	ex := executor.New(&executor.Options{
		Workers: 1, Middleware: []executor.Middleware{sendRequest},
	})
	if err := ex.Start(ctx); err != nil {
		log.Fatal(err)
	}
	defer stop(ex)

	fmt.Println(whose.Run(context.WithValue(ctx, requestKey{}, "4711"), ex, struct{}{}))
	// Output:
	// example: whose in a worker: true, error: <nil>
	// request 4711 <nil>
}
