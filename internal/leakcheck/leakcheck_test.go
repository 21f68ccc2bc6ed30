package leakcheck_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestLeft_NamesTheGoroutine(t *testing.T) {
	stop := make(chan struct{})
	forget(1, stop)
	found := false
	for _, stack := range leakcheck.Left(50 * time.Millisecond) {
		found = found || strings.Contains(stack, "forgotten")
	}
	if !found {
		t.Error("a blocked goroutine was not reported")
	}
	close(stop)
	for _, stack := range leakcheck.Left(time.Second) {
		if strings.Contains(stack, "forgotten") {
			t.Errorf("still reported: %s", stack)
		}
	}
}

func TestLeft_SeesAllOfMany(t *testing.T) {
	const many = 10_000 // their stacks fill more than the first buffer
	stop := make(chan struct{})
	defer close(stop)
	forget(many, stop)
	found := 0
	for _, stack := range leakcheck.Left(0) {
		if strings.Contains(stack, "forgotten") {
			found++
		}
	}
	if found != many {
		t.Errorf("%d of %d goroutines reported", found, many)
	}
}

func TestMain_FailsForALeakOnly(t *testing.T) {
	var out strings.Builder
	if code := leakcheck.Verdict(0, 5*time.Second, &out); code != 0 || out.Len() > 0 {
		t.Errorf("nothing left: %d, %s", code, out.String())
	}
	stop := make(chan struct{})
	defer close(stop)
	forget(1, stop)
	if code := leakcheck.Verdict(2, 0, &out); code != 2 || out.Len() > 0 {
		t.Errorf("failed already: %d, %s", code, out.String())
	}
	if code := leakcheck.Verdict(0, 0, &out); code != 1 || !strings.Contains(out.String(), "1 goroutines left") || !strings.Contains(out.String(), "forgotten") {
		t.Errorf("one left: %d, %s", code, out.String())
	}
}

// forget starts so many goroutines that stay until stop is closed, and returns when they are where their stacks name them.
func forget(many int, stop chan struct{}) {
	var started sync.WaitGroup
	started.Add(many)
	for range many {
		go forgotten(&started, stop)
	}
	started.Wait()
}

func forgotten(started *sync.WaitGroup, stop chan struct{}) {
	started.Done()
	<-stop
}

func TestMain(m *testing.M) { leakcheck.Main(m) }
