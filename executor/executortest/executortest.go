// Package executortest is for tests of code that uses package executor.
//
// The test binary is its own worker, so TestMain must let it become one:
//
//	func TestMain(m *testing.M) { executortest.Main(m) }
//
//	func TestThumbnail(t *testing.T) {
//		ex := executortest.New(t, nil)
//		picture, err := thumbnail.Run(t.Context(), ex, params)
//		...
//	}
//
// Functions are registered in package variables, of test files too. Code that runs in a worker does
// not count for the coverage of a test.
package executortest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/executor"
)

// stopTimeout is how long calls that are still running when a test ends may take.
const stopTimeout = 10 * time.Second

// Main serves calls if this process is a worker, and otherwise runs the tests and exits. Nothing
// stands before it in TestMain but executor.UseWorker.
func Main(m *testing.M) {
	executor.Main()
	os.Exit(m.Run())
}

// New starts an Executor that is stopped when the test ends, which fails if calls are then still
// running after 10 s. Nil options mean one worker and no spare; unless they say otherwise, what
// workers write goes to the test's output.
func New(tb testing.TB, opts *executor.Options) *executor.Executor {
	tb.Helper()
	o := executor.Options{Workers: 1, Spares: -1}
	if opts != nil {
		o = *opts
	}
	if o.Stderr == nil {
		o.Stderr = tb.Output()
	}
	ex := executor.New(&o)
	if err := ex.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := ex.Stop(ctx); err != nil {
			tb.Error(err)
		}
	})
	return ex
}
