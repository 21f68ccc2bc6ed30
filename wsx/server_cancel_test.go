package wsx_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
)

// handing returns a dispatcher whose method "hand" gives its context out and returns when the test
// says so.
func handing() (d *wsx.Dispatcher, contexts chan context.Context, release chan struct{}) {
	d = callDispatcher()
	contexts, release = make(chan context.Context, 1), make(chan struct{})
	wsx.Handle(d, "hand", func(ctx context.Context, _ struct{}) (struct{}, error) {
		contexts <- ctx
		<-release
		return struct{}{}, nil
	})
	return d, contexts, release
}

func TestServer_AnswersACancelledCallAtOnce(t *testing.T) {
	d, contexts, release := handing()
	s := dial(t, d, &wsx.ServerOptions{MaxInFlight: 2})
	s.send(request("1", "hand", ""))
	ctx := <-contexts
	// ids of nothing in flight
	s.send(`{"type":"rpc.cancel","id":"1"}`, `{"type":"rpc.cancel","id":2}`, ping)
	s.expect(pong)
	if ctx.Err() != nil {
		t.Fatal("cancelled by another id")
	}
	s.send(`{"type":"rpc.cancel","id":1}`)
	s.expect(fault("1", "CANCELLED", "cancelled")) // though the handler ignores it
	<-ctx.Done()
	if !errors.Is(ctx.Err(), context.Canceled) || !errors.Is(context.Cause(ctx), context.Canceled) {
		t.Error(ctx.Err(), context.Cause(ctx))
	}
	// cancelled already, and free again
	s.send(`{"type":"rpc.cancel","id":1}`, request("1", "echo", "2"))
	s.expect(response("1", "2"))
	close(release)
	// both slots are free only when the handler has ended
	s.send(request("3", "wait", ""), request("4", "echo", "5"))
	s.expect(response("4", "5")) // and nothing more for 1
}

func TestServer_EndsCallsWithTheirDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, contexts, release := handing()
		s := dial(t, d, &wsx.ServerOptions{KeepaliveAfter: -1})
		start := time.Now()
		s.send(`{"type":"rpc.request","id":1,"method":"hand","meta":{"timeout_ms":1500}}`)
		ctx := <-contexts
		if deadline, ok := ctx.Deadline(); !ok || deadline.Sub(start) != 1500*time.Millisecond {
			t.Error(deadline, ok)
		}
		s.expect(fault("1", "DEADLINE_EXCEEDED", "deadline exceeded"))
		if took := time.Since(start); took != 1500*time.Millisecond {
			t.Error(took)
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) ||
			!errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			t.Error(ctx.Err(), context.Cause(ctx))
		}
		close(release)
		s.send(`{"type":"rpc.request","id":1,"method":"wait","meta":{"timeout_ms":10}}`)
		s.expect(fault("1", "DEADLINE_EXCEEDED", "deadline exceeded"))
		s.send(
			`{"type":"rpc.request","id":1,"method":"echo","params":2,` +
				`"meta":{"timeout_ms":99999999999999999999}}`)
		s.expect(response("1", "2"))
		s.send(
			`{"type":"rpc.request","id":1,"method":"echo","params":2,"meta":{"timeout_ms":1000}}`)
		s.expect(response("1", "2"))
		<-time.After(time.Hour)
		s.send(ping)
		s.expect(pong) // and no late answer
	})
}

func TestServer_CancelsCallsOfAClientThatIsGone(t *testing.T) {
	for name, leave := range map[string]func(s *socket) error{
		"closing":  func(s *socket) error { return s.c.Close(1000, "") },
		"vanished": func(s *socket) error { return s.c.CloseNow() },
	} {
		t.Run(name, func(t *testing.T) {
			d, contexts, release := handing()
			defer close(release)
			s := dial(t, d, nil)
			s.send(request("1", "hand", ""))
			ctx := <-contexts
			if err := leave(s); err != nil {
				t.Fatal(err)
			}
			<-ctx.Done()
			if !errors.Is(ctx.Err(), context.Canceled) {
				t.Error(ctx.Err())
			}
			conn := wsx.ConnFrom(ctx)
			<-conn.Context().Done()
			if got, want := context.Cause(ctx), context.Cause(conn.Context()); got == nil ||
				!errors.Is(got, want) {
				t.Errorf("cause %v, the connection's is %v", got, want)
			}
		})
	}
}

func TestCallContext_IsAContext(t *testing.T) {
	d, contexts, release := handing()
	s := dial(t, d, nil)
	s.send(request("1", "hand", ""))
	ctx := <-contexts

	if deadline, ok := ctx.Deadline(); ok {
		t.Error("a deadline from nowhere:", deadline)
	}
	if ctx.Err() != nil || context.Cause(ctx) != nil {
		t.Error(ctx.Err(), context.Cause(ctx))
	}
	if done := ctx.Done(); done != ctx.Done() {
		t.Error("Done changes")
	}
	child, cancelChild := context.WithCancel(ctx)
	defer cancelChild()
	far, cancelFar := context.WithTimeout(ctx, time.Hour)
	defer cancelFar()
	detached := context.WithoutCancel(ctx)
	gone, cancelGone := context.WithCancelCause(ctx)
	cancelGone(errors.New("done with it"))
	ran := make(chan string, 3)
	context.AfterFunc(ctx, func() { ran <- "of the call" })
	context.AfterFunc(child, func() { ran <- "of the child" })
	if stopped := context.AfterFunc(ctx, func() { ran <- "stopped" })(); !stopped {
		t.Error("could not stop")
	}
	if gone.Err() == nil || ctx.Err() != nil {
		t.Error("a child's end is its own")
	}

	s.send(`{"type":"rpc.cancel","id":1}`)
	s.expect(fault("1", "CANCELLED", "cancelled"))
	for _, c := range []context.Context{ctx, child, far} {
		<-c.Done()
		if !errors.Is(c.Err(), context.Canceled) {
			t.Error(c.Err())
		}
	}
	if first, second := <-ran, <-ran; first == second || first == "stopped" || second == "stopped" {
		t.Error(first, second)
	}
	if detached.Err() != nil || wsx.ConnFrom(detached) == nil {
		t.Error("WithoutCancel keeps values and nothing else")
	}
	close(release)
}

func TestCallContext_EndsWithItsHandlerAndMayBeKept(t *testing.T) {
	d, contexts, release := handing()
	s := dial(t, d, nil)
	s.send(request("1", "hand", ""))
	ctx := <-contexts
	child, cancelChild := context.WithCancel(ctx)
	defer cancelChild()
	close(release)
	s.expect(response("1", "null"))
	<-child.Done()
	<-ctx.Done()
	late, cancelLate := context.WithCancel(ctx)
	defer cancelLate()
	<-late.Done()
	ran := make(chan struct{})
	stopLate := context.AfterFunc(ctx, func() { close(ran) })
	<-ran
	if stopLate() {
		t.Error("stopped what has run")
	}
	if !errors.Is(ctx.Err(), context.Canceled) || wsx.ConnFrom(ctx) == nil {
		t.Error(ctx.Err())
	}
	s.send(request("2", "hand", "")) // another call has another context
	if other := <-contexts; other == ctx {
		t.Error("reused while kept")
	}
	s.expect(response("2", "null"))
}

func TestCallContext_EndsWhileOthersDeriveFromIt(t *testing.T) {
	d, contexts, release := handing()
	defer close(release)
	s := dial(t, d, nil)
	for range 50 {
		s.send(request("1", "hand", ""))
		ctx := <-contexts
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 20 {
					child, cancel := context.WithTimeout(ctx, time.Hour)
					stop := context.AfterFunc(ctx, func() {})
					context.AfterFunc(child, func() {})
					_, _ = ctx.Err(), context.Cause(ctx)
					stop()
					cancel()
				}
				child, cancel := context.WithCancel(ctx)
				<-child.Done()
				<-ctx.Done()
				cancel()
			})
		}
		s.send(`{"type":"rpc.cancel","id":1}`)
		s.expect(fault("1", "CANCELLED", "cancelled"))
		wg.Wait()
		release <- struct{}{}
	}
}
