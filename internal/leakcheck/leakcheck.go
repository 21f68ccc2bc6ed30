// Package leakcheck fails a package's tests when they leave goroutines behind. It is for TestMain
// only.
package leakcheck

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// grace is how long goroutines that were told to stop may take to be gone.
const grace = 5 * time.Second

// Main runs the tests and exits; it exits with 1 when they pass but a goroutine of theirs is still
// there after 5 s.
//
//	func TestMain(m *testing.M) { leakcheck.Main(m) }
func Main(m *testing.M) { os.Exit(verdict(m.Run(), grace, os.Stderr)) }

// verdict is the exit code for tests that ended with code.
func verdict(code int, wait time.Duration, out io.Writer) int {
	if code != 0 {
		return code // what failed may have left anything
	}
	left := Left(wait)
	if len(left) == 0 {
		return 0
	}
	fmt.Fprintf(out, "leakcheck: %d goroutines left:\n\n%s\n", len(left),
		strings.Join(left, "\n\n"))
	return 1
}

// Left waits until no goroutine but the caller's and the runtime's is there, for as long as wait,
// and returns the stacks of those that remain.
func Left(wait time.Duration) []string {
	deadline := time.Now().Add(wait)
	for {
		left := others()
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		<-time.After(10 * time.Millisecond)
	}
}

func others() []string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		buf = make([]byte, 2*len(buf))
	}
	var left []string
	for i, stack := range strings.Split(string(buf), "\n\n") {
		if i == 0 || ours(stack) { // the first is the caller's own
			continue
		}
		left = append(left, stack)
	}
	return left
}

// ours reports whether a stack belongs to the testing package, the runtime or the fuzzing and
// signal machinery.
func ours(stack string) bool {
	for _, mark := range [...]string{
		"testing.(*M).", "testing.runFuzz", "testing.(*F).", "testing.tRunner.func",
		"os/signal.signal_recv", "os/signal.loop",
		"runtime.ensureSigM", "runtime.ReadTrace", "runtime/pprof.", "internal/fuzz.",
	} {
		if strings.Contains(stack, mark) {
			return true
		}
	}
	return false
}
