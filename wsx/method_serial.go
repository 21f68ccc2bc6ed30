package wsx

import (
	"context"
	"fmt"

	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/serial"
)

// SerialOptions configure [Dispatcher.Serial]. nil and the zero value are valid.
type SerialOptions struct {
	// Key is what the request is about: requests with the same key run one after the other. An
	// empty key is none: the request runs at once. nil is one key a connection (its ID), and none
	// for what did not come over one. Key runs before middleware, in the order in which requests
	// come, in the goroutine that reads the connection: it must be quick. When it panics the call
	// fails.
	Key func(ctx context.Context, r *Request) string
	// MaxWaiting is how many requests may wait behind the one of their key that runs; 64 when zero
	// or less. The next one is RESOURCE_EXHAUSTED.
	MaxWaiting int
}

// Serial makes calls of the named methods run one at a time for each key, across all of them and
// across connections:
//
//	d.Serial(&wsx.SerialOptions{Key: documentID}, "document.edit", "document.undo")
//
// Requests of one connection run in the order in which they came; for others it is that in which
// they got here. A call that waits for those before it ends as any other, by rpc.cancel, its
// deadline or the connection's end, and keeps nobody waiting any more; it does not count as in
// flight (ServerOptions.MaxInFlight). A method that is answered early keeps its place until its
// handler returns. The next one runs just before the answer is sent: answers may overtake each
// other. One that calls a method with its own key, and waits for it, waits for itself.
//
// Serial panics when there is no method of a name, or it is serial already.
func (d *Dispatcher) Serial(opts *SerialOptions, names ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checkOpenLocked("Serial")
	key, limit := connectionKey, 64
	if opts != nil && opts.Key != nil {
		key = opts.Key
	}
	if opts != nil && opts.MaxWaiting > 0 {
		limit = opts.MaxWaiting
	}
	s := &serialMethods{key: key, queues: serial.New(limit)}
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

// serialMethods are methods whose calls with the same key run one after the other.
type serialMethods struct {
	key    func(ctx context.Context, r *Request) string
	queues *serial.Queues
}

// serialPlace is a call's place among those of its key.
type serialPlace struct {
	*serial.Place       // nil without a key: there is nobody to wait for
	err           error // why there is none
}

// enter takes the place behind those of the same key that are there. What it returns is to be
// waited for, and left when that gave no error.
func (s *serialMethods) enter(ctx context.Context, r *Request) (p *serialPlace) {
	defer func() {
		if v := recover(); v != nil {
			p = &serialPlace{err: caught(v)}
		}
	}()
	key := s.key(ctx, r)
	if key == "" {
		return &serialPlace{}
	}
	place, err := s.queues.Enter(key)
	if err != nil {
		return &serialPlace{err: &Error{
			Code:    CodeResourceExhausted,
			Message: "too many requests wait for their turn",
			Err:     err,
		}}
	}
	return &serialPlace{Place: place}
}

// free reports whether there is nothing to wait for.
func (p *serialPlace) free() bool { return p.Place == nil || p.Free() }

// wait waits until nobody is before the place, or gives it up when ctx ends. The call does not
// count as in flight meanwhile.
func (p *serialPlace) wait(ctx context.Context) error {
	if p.err != nil || p.free() {
		return p.err
	}
	defer clientcall.Waits(ctx)()
	return p.Wait(ctx)
}

// leave lets the next one run.
func (p *serialPlace) leave() {
	if p.Place != nil {
		p.Leave()
	}
}
