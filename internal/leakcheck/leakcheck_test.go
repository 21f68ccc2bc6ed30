package leakcheck

import (
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
	if code := verdict(0, 50*time.Millisecond, &out); code != 1 || !strings.Contains(out.String(), "leakcheck.forgotten") {
		t.Errorf("code %d: %s", code, out.String())
	}
	out.Reset()
	if code := verdict(2, time.Hour, &out); code != 2 || out.Len() > 0 {
		t.Errorf("code %d for tests that failed: %s", code, out.String())
	}
	close(stop)
	for _, stack := range Left(time.Second) {
		if strings.Contains(stack, "forgotten") {
			t.Errorf("still reported: %s", stack)
		}
	}
}
