package executortest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/executor/executortest"
)

func TestMain(m *testing.M) { executortest.Main(m) }

var pid = executor.NewFunc("pid",
	func(context.Context, struct{}) (int, error) { return os.Getpid(), nil })

var say = executor.NewFunc("say",
	func(_ context.Context, text string) (int, error) { return fmt.Fprintln(os.Stderr, text) })

func TestNew_RunsInAWorker(t *testing.T) {
	var ex *executor.Executor
	t.Run("call", func(t *testing.T) {
		ex = executortest.New(t, nil)
		worker, err := pid.Run(t.Context(), ex, struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		if worker == os.Getpid() {
			t.Error("ran in the test's own process")
		}
	})
	if _, err := pid.Run(t.Context(), ex, struct{}{}); err == nil {
		t.Error("the executor was not stopped with its test")
	}
}

func TestNew_TakesOptions(t *testing.T) {
	var wrote lines
	ex := executortest.New(t, &executor.Options{Workers: 2, Stderr: &wrote})
	if _, err := say.Run(t.Context(), ex, "to the options' writer"); err != nil {
		t.Fatal(err)
	}
	if err := ex.Stop(t.Context()); err != nil { // the worker's output has come then
		t.Fatal(err)
	}
	if got := wrote.String(); !strings.Contains(got, "to the options' writer") {
		t.Errorf("the options' writer has %q", got)
	}
}

// TestNew_ByDefault looks at one worker, whose output is the test's.
func TestNew_ByDefault(t *testing.T) {
	tb := &recorder{TB: t}
	ex := executortest.New(tb, nil)
	if _, err := say.Run(t.Context(), ex, "to the test's output"); err != nil {
		t.Fatal(err)
	}
	if n := ex.Stats().Process.Workers; n != 1 {
		t.Errorf("%d workers", n)
	}
	if err := ex.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := tb.output.String(); !strings.Contains(got, "to the test's output") {
		t.Errorf("the test's output is %q", got)
	}
}

// TestNew_FailsTheTest has one that cannot start, as its test has ended.
func TestNew_FailsTheTest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tb := &recorder{TB: t, ctx: ctx}
	executortest.New(tb, nil)
	if tb.fatal == 0 {
		t.Error("the test went on without an executor")
	}
}

// recorder is a test whose output and failures are looked at.
type recorder struct {
	testing.TB
	ctx    context.Context
	output lines
	fatal  int
}

func (r *recorder) Output() io.Writer { return &r.output }
func (r *recorder) Fatal(...any)      { r.fatal++ }
func (r *recorder) Context() context.Context {
	if r.ctx != nil {
		return r.ctx
	}
	return r.TB.Context()
}

// lines is what several goroutines write.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
