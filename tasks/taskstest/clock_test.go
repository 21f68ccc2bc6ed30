package taskstest_test

import (
	"slices"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks/taskstest"
)

func TestClock_AdvanceCallsInOrder(t *testing.T) {
	c := taskstest.NewClock(begin)
	var got []string
	say := func(what string) func() {
		return func() { got = append(got, what+" at "+c.Now().Sub(begin).String()) }
	}
	c.AfterFunc(3*time.Second, say("third"))
	c.AfterFunc(time.Second, func() {
		say("first")()
		c.AfterFunc(time.Second, say("asked for by the first"))
		c.AfterFunc(0, say("not from within AfterFunc"))
		c.AfterFunc(time.Hour, say("too late"))
	})
	c.AfterFunc(2*time.Second, say("second"))
	stop := c.AfterFunc(2*time.Second, say("taken back"))
	c.AfterFunc(2*time.Second, say("second too"))
	if !stop() || stop() {
		t.Error("stop: want true, then false")
	}
	if d, ok := c.Next(); d != time.Second || !ok {
		t.Errorf("next in %v, %v", d, ok)
	}
	c.Advance(time.Second - 1)
	if len(got) > 0 {
		t.Errorf("too early: %v", got)
	}
	c.Advance(4 * time.Second)
	want := []string{
		"first at 1s", "not from within AfterFunc at 1.000000001s", "second at 2s",
		"second too at 2s", "asked for by the first at 2s", "third at 3s",
	}
	if !slices.Equal(got, want) {
		t.Errorf("called %q, want %q", got, want)
	}
	if now := c.Now(); !now.Equal(begin.Add(5*time.Second - 1)) {
		t.Errorf("it is %v", now)
	}
}

// Who sets the clock does not make time pass.
func TestClock_Jump(t *testing.T) {
	c := taskstest.NewClock(begin)
	called := false
	c.AfterFunc(time.Minute, func() { called = true })
	c.Jump(-time.Hour)
	c.Advance(time.Minute - 1)
	c.Jump(2 * time.Hour)
	if called {
		t.Error("called before a minute had passed")
	}
	c.Advance(1)
	if !called {
		t.Error("not called after a minute")
	}
	if now := c.Now(); !now.Equal(begin.Add(time.Hour + time.Minute)) {
		t.Errorf("it is %v", now)
	}
	if _, ok := c.Next(); ok {
		t.Error("something is left")
	}
}
