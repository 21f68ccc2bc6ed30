package leakcheck_test

import (
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestLeft_NamesTheGoroutine(t *testing.T) {
	stop := make(chan struct{})
	go forgotten(stop)
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

func forgotten(stop chan struct{}) { <-stop }

func TestMain(m *testing.M) { leakcheck.Main(m) }
