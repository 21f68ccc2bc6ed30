package leakcheck

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) { Main(m) }

func forgotten(stop chan struct{}) { <-stop }

func TestVerdict_NamesTheGoroutine(t *testing.T) {
	stop := make(chan struct{})
	go forgotten(stop)
	var out strings.Builder
	if code := verdict(0, 50*time.Millisecond, &out); code != 1 ||
		!strings.Contains(out.String(), "leakcheck.forgotten") {
		t.Errorf("code %d: %s", code, out.String())
	}
	out.Reset()
	for _, failed := range []int{1, 2} {
		if code := verdict(failed, time.Hour, &out); code != failed || out.Len() > 0 {
			t.Errorf("code %d for tests that failed: %s", code, out.String())
		}
	}
	for _, stack := range Left(0) {
		if strings.Contains(stack, "\x00") {
			t.Errorf("more than the stack: %q", stack)
		}
	}
	close(stop)
	// until it is gone: go test ends a wait for ever
	for strings.Contains(strings.Join(Left(0), "\n"), "forgotten") {
		runtime.Gosched()
	}
}

func TestOurs(t *testing.T) {
	if !ours("goroutine 1 [chan receive]:\ntesting.(*M).Run(0x1)\n") ||
		ours("goroutine 7 [select]:\nmain.work()\n") {
		t.Error("a goroutine of the testing package is told from others")
	}
}
