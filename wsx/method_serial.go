package wsx

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/genropy/genro-asgi-go/wsx/internal/outcall"
)

// SerialOptions configure [Dispatcher.Serial].
type SerialOptions struct {
	// Key is what the request is about: requests with the same key run one after the other. An empty key is none: the request runs at once.
	// nil is one key a connection (its ID), and none for what did not come over one. Key runs before middleware, in the order in which
	// requests come, in the goroutine that reads the connection: it must be quick. When it panics the call fails.
	Key func(ctx context.Context, r *Request) string
	// MaxWaiting is how many requests may wait behind the one of their key that runs; 64 when zero or less. The next one
	// is RESOURCE_EXHAUSTED.
	MaxWaiting int
}

// Serial makes calls of the named methods run one at a time for each key, across all of them and across connections:
//
//	d.Serial(wsx.SerialOptions{Key: documentID}, "document.edit", "document.undo")
//
// Requests of one connection run in the order in which they came; for others it is that in which they got here. A call that waits for its turn
// ends as any other, by rpc.cancel, its deadline or the connection's end, and keeps nobody waiting any more; it does not count as
// in flight (ServerOptions.MaxInFlight). A method that is answered early keeps its turn until its handler returns. The turn passes
// just before the answer is sent: answers may overtake each other. One that calls a method with its own key, and waits for it, waits for
// itself.
//
// Serial panics when there is no method of a name, or it is serial already.
func (d *Dispatcher) Serial(opts SerialOptions, names ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checkOpenLocked("Serial")
	if opts.Key == nil {
		opts.Key = connectionKey
	}
	if opts.MaxWaiting <= 0 {
		opts.MaxWaiting = 64
	}
	s := &serial{key: opts.Key, most: opts.MaxWaiting, lanes: make(map[string][]*turn)}
	var changed []*method
	for _, name := range names {
		m := (*d.table.Load())[name]
		if m == nil {
			panic(fmt.Sprintf("wsx: Serial(%q): no such method", name))
		}
		if m.serial != nil {
			panic(fmt.Sprintf("wsx: Serial(%q): the method is serial already", name))
		}
		next := *m
		next.serial = s
		changed = append(changed, &next)
	}
	d.storeLocked(changed...)
}

func connectionKey(ctx context.Context, _ *Request) string {
	if c := ConnFrom(ctx); c != nil {
		return c.ID()
	}
	return ""
}

// serial is a set of methods whose calls take turns.
type serial struct {
	key  func(ctx context.Context, r *Request) string
	most int

	mu    sync.Mutex
	lanes map[string][]*turn // of a key that has a call running: those that wait
}

// turn is one call's place.
type turn struct {
	serial *serial // nil without a key: there is no waiting
	key    string
	ready  chan struct{} // closed when it is this call's turn; nil when it is at once
	err    error         // why there is none
}

// enter takes the place behind those that are there. What it returns is to be waited for, and left when that gave no error.
func (s *serial) enter(ctx context.Context, r *Request) (t *turn) {
	defer func() {
		if v := recover(); v != nil {
			t = &turn{err: &panicError{value: v, stack: debug.Stack()}}
		}
	}()
	key := s.key(ctx, r)
	if key == "" {
		return &turn{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t = &turn{serial: s, key: key}
	waiting, busy := s.lanes[key]
	switch {
	case !busy:
		s.lanes[key] = nil
	case len(waiting) >= s.most:
		return &turn{err: &Error{Code: CodeResourceExhausted, Message: "too many requests wait for their turn"}}
	default:
		t.ready = make(chan struct{})
		s.lanes[key] = append(waiting, t)
	}
	return t
}

// now reports whether there is nothing to wait for.
func (t *turn) now() bool { return t.ready == nil }

// wait waits until it is this call's turn, or gives the place up when ctx ends.
func (t *turn) wait(ctx context.Context) error {
	if t.err != nil || t.now() {
		return t.err
	}
	defer outcall.Waits(ctx)()
	select {
	case <-t.ready:
		return nil
	case <-ctx.Done():
	}
	s := t.serial
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.lanes[t.key], t); i >= 0 {
		s.lanes[t.key] = slices.Delete(s.lanes[t.key], i, i+1)
	} else {
		s.passLocked(t.key) // it was given the turn just now
	}
	return ctx.Err()
}

// leave lets the next one run.
func (t *turn) leave() {
	if t.serial == nil {
		return
	}
	t.serial.mu.Lock()
	defer t.serial.mu.Unlock()
	t.serial.passLocked(t.key)
}

func (s *serial) passLocked(key string) {
	waiting := s.lanes[key]
	if len(waiting) == 0 {
		delete(s.lanes, key)
		return
	}
	close(waiting[0].ready)
	s.lanes[key] = waiting[1:]
}
