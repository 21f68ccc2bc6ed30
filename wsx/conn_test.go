package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/wsx"
)

func TestConnFrom_IsNilOutsideOfACall(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "conn",
		func(ctx context.Context, _ struct{}) (bool, error) {
			return wsx.ConnFrom(ctx) != nil, nil
		})
	if wsx.ConnFrom(t.Context()) != nil {
		t.Error("a connection from nowhere")
	}
	if got, err := d.Call(t.Context(), "conn", nil); err != nil || string(got) != "false" {
		t.Error(string(got), err)
	}
}

func TestConn_HasAnIDOfItsOwn(t *testing.T) {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "id",
		func(ctx context.Context, _ struct{}) (string, error) {
			return wsx.ConnFrom(ctx).ID(), nil
		})
	_, client := serve(t, d, nil)
	seen := map[string]bool{}
	for range 10 {
		s := dialSocket(t, client, "ws://wsx.test/")
		s.send(request("1", "id", ""))
		answer := s.read()
		s.send(request("1", "id", ""))
		s.expect(answer) // the same each time
		if !regexp.MustCompile(`"result":"[A-Z2-7]{26}"}$`).MatchString(answer) {
			t.Error(answer)
		}
		seen[answer] = true
	}
	if len(seen) != 10 {
		t.Errorf("%d ids for 10 connections", len(seen))
	}
}

func TestConn_KeepsValues(t *testing.T) {
	type counter struct{}
	type otherKey struct{}
	d, contexts, release := handing()
	defer close(release)
	s := dial(t, d, nil)
	s.send(request("1", "hand", ""))
	c := wsx.ConnFrom(<-contexts)
	c.Set(counter{}, nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { c.Set(i, i); c.Set(counter{}, i); _ = c.Get(counter{}) })
	}
	wg.Wait()
	if c.Get(7) != 7 || c.Get(otherKey{}) != nil || c.Get(counter{}) == nil {
		t.Error(c.Get(7), c.Get(otherKey{}), c.Get(counter{}))
	}
	c.Set(counter{}, nil)
	if c.Get(counter{}) != nil {
		t.Error("not removed")
	}
}

func TestConn_NotifiesInOrder(t *testing.T) {
	d, contexts, release := handing()
	defer close(release)
	s := dial(t, d, nil)
	s.send(request("1", "hand", ""))
	c := wsx.ConnFrom(<-contexts)
	go func() {
		for i := range 3000 { // more than the out-queue holds
			if err := c.Notify(t.Context(), "tick", i); err != nil {
				t.Error(err)
			}
		}
	}()
	for i := range 3000 {
		s.expect(fmt.Sprintf(`{"type":"rpc.notify","event":"tick","payload":%d}`, i))
	}
	if err := c.Notify(t.Context(), "bad", func() {}); err == nil {
		t.Error("sent what is not JSON")
	}
	if err := c.Notify(t.Context(), "none", nil); err != nil {
		t.Error(err)
	}
	s.expect(`{"type":"rpc.notify","event":"none","payload":null}`)
}

func TestConn_NotifyWaitsForRoomAsLongAsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, contexts, release := handing()
		defer close(release)
		s := dial(t, d, &wsx.ServerOptions{MaxQueueMessages: 4})
		s.send(request("1", "hand", ""))
		c := wsx.ConnFrom(<-contexts)
		patience := errors.New("out of patience")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, patience)
		defer cancel()
		sent := 0
		var err error
		for err == nil { // nobody reads
			err = c.Notify(ctx, "tick", sent)
			sent++
		}
		if !errors.Is(err, patience) || sent > 8 {
			t.Fatal(sent, err)
		}
		for i := range sent - 1 {
			// the connection has not come to harm, and nothing that was taken is lost
			s.expect(fmt.Sprintf(`{"type":"rpc.notify","event":"tick","payload":%d}`, i))
		}
		s.send(ping)
		s.expect(pong)
	})
}

func TestConn_ClosesWithItsCode(t *testing.T) {
	long := strings.Repeat("é", 100) // 200 bytes
	for _, tc := range []struct {
		name, reason string
		code         int
		want         websocket.StatusCode
		fails        bool
	}{
		{"application", "over and out", 4000, 4000, false},
		{"done", "", 1000, 1000, false},
		{"reason too long", long, 3000, 3000, false},
		{"a code that no frame may carry", "", 1006, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := callDispatcher()
			result := make(chan error, 1)
			wsx.Handle(d, "close", func(ctx context.Context, _ struct{}) (int, error) {
				c := wsx.ConnFrom(ctx)
				err := c.Close(tc.code, tc.reason)
				<-ctx.Done()
				<-c.Context().Done()
				if context.Cause(c.Context()) == nil {
					err = errors.Join(err, errors.New("no cause"))
				}
				if c.Notify(context.Background(), "late", 1) == nil {
					err = errors.Join(err, errors.New("notified after the end"))
				}
				result <- errors.Join(err, c.Close(1000, "again"))
				return 1, nil
			})
			s := dial(t, d, nil)
			s.send(request("1", "close", ""))
			ce, ok := s.closedAnyhow()
			if ok == tc.fails || ce.Code != tc.want || !strings.HasPrefix(tc.reason, ce.Reason) ||
				!utf8.ValidString(ce.Reason) {
				t.Errorf("closed with %v %v", ce, ok)
			}
			if err := <-result; (err != nil) != tc.fails {
				t.Error(err)
			}
		})
	}
}

func TestConn_ClosesFromOutsideWhileCallsAreInFlight(t *testing.T) {
	d, contexts, release := handing()
	s := dial(t, d, nil)
	s.send(request("1", "hand", ""))
	ctx := <-contexts
	closed := make(chan error, 3)
	for range 3 {
		go func() { closed <- wsx.ConnFrom(ctx).Close(4001, "kicked") }()
	}
	s.expectClosed(4001)
	if err := errors.Join(<-closed, <-closed, <-closed); err != nil {
		t.Error(err)
	}
	<-ctx.Done()
	close(release)
}
