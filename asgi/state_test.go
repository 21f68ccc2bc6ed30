package asgi_test

import (
	"sync"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
)

func TestState_ValuesAreTyped(t *testing.T) {
	var (
		s     asgi.State
		count = asgi.NewKey[int]("n")
		name  = asgi.NewKey[string]("n") // the same name is another key
		fail  = asgi.NewKey[error]("err")
	)
	if _, ok := count.Get(&s); ok {
		t.Error("an empty state has a value")
	}
	count.Set(&s, 7)
	if _, ok := name.Get(&s); ok {
		t.Error("a key of the same name and another type sees the value")
	}
	name.Set(&s, "x")
	if n, ok := count.Get(&s); n != 7 || !ok {
		t.Errorf("got %d, %v", n, ok)
	}
	fail.Set(&s, asgi.ErrShutdown)
	if err, ok := fail.Get(&s); err != asgi.ErrShutdown || !ok {
		t.Errorf("got %v, %v for an interface", err, ok)
	}
	count.Delete(&s)
	if _, ok := count.Get(&s); ok {
		t.Error("a deleted value is there")
	}
	if got := name.String(); got != "n" {
		t.Errorf("name %q", got)
	}
}

func TestState_NilIsEmpty(t *testing.T) {
	if _, ok := asgi.NewKey[int]("n").Get(nil); ok {
		t.Error("nil has a value")
	}
	if s := asgi.StateFrom(t.Context()); s != nil {
		t.Error("a state out of nowhere")
	}
	if s := asgi.AppState(t.Context()); s != nil {
		t.Error("an app state out of nowhere")
	}
}

func TestState_OneOfManyConcurrentCallersSets(t *testing.T) {
	var (
		s   asgi.State
		key = asgi.NewKey[*int]("p")
		wg  sync.WaitGroup
		got [8]*int
	)
	for i := range got {
		wg.Go(func() { got[i] = key.GetOrSet(&s, new(int)) })
	}
	wg.Wait()
	for _, p := range got {
		if p == nil || p != got[0] {
			t.Fatalf("not one value: %v", got)
		}
	}
}

func TestState_ContextCarriesBoth(t *testing.T) {
	var request, app asgi.State
	ctx := asgi.ContextWithAppState(asgi.ContextWithState(t.Context(), &request), &app)
	if asgi.StateFrom(ctx) != &request || asgi.AppState(ctx) != &app {
		t.Error("not the states that were put in")
	}
}
