package executortest_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/executor/executortest"
)

// double is a function of the program under test.
var double = executor.NewFunc("double",
	func(_ context.Context, n int) (int, error) { return 2 * n, nil })

// A test calls double in a worker process, which is the test's own binary started again: TestMain
// of this package is executortest.Main(m). Here t is no test's, so that this example can run.
func ExampleNew() {
	t := &exampleTB{}
	ex := executortest.New(t, nil)
	got, err := double.Run(t.Context(), ex, 21)
	fmt.Println(got, err)

	t.end() // as every test does: it stops the executor
	_, err = double.Run(t.Context(), ex, 21)
	fmt.Println(err)
	// Output:
	// 42 <nil>
	// executor: not running: function "double": Start comes first, Stop last
}

// exampleTB is what New needs of a test.
type exampleTB struct {
	testing.TB
	cleanups []func()
}

func (t *exampleTB) Helper()                  {}
func (t *exampleTB) Context() context.Context { return context.Background() }
func (t *exampleTB) Output() io.Writer        { return io.Discard }
func (t *exampleTB) Cleanup(f func())         { t.cleanups = append(t.cleanups, f) }
func (t *exampleTB) Fatal(args ...any)        { panic(fmt.Sprint(args...)) }
func (t *exampleTB) Error(args ...any)        { panic(fmt.Sprint(args...)) }

func (t *exampleTB) end() {
	for _, f := range t.cleanups {
		f()
	}
}
