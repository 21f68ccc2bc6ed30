package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/wsx"
)

// called gives the connection of a socket, and the socket, to a test that calls the client by hand.
func called(t *testing.T, opts *wsx.ServerOptions,
	test func(t *testing.T, conn *wsx.Conn, s *socket),
) {
	synctest.Test(t, func(t *testing.T) {
		d := callDispatcher()
		conns := make(chan *wsx.Conn, 1)
		wsx.Handle(d, "hello", func(ctx context.Context, _ struct{}) (struct{}, error) {
			conns <- wsx.ConnFrom(ctx)
			return struct{}{}, nil
		})
		if opts == nil {
			opts = &wsx.ServerOptions{}
		}
		opts.KeepaliveAfter = -1
		s := dial(t, d, opts)
		s.send(request("1", "hello", ""))
		s.expect(response("1", "null"))
		test(t, <-conns, s)
	})
}

type outcome struct {
	got string
	err error
}

// calling calls a method of the client and says how it went.
func calling(ctx context.Context, conn *wsx.Conn, method string) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		got, err := wsx.Call[string](ctx, conn, method, 5)
		done <- outcome{got, err}
	}()
	return done
}

// looping loops over a stream of the client until stop says so of an item, and says what it got.
func looping(ctx context.Context, conn *wsx.Conn, buffer int,
	stop func(item int) bool,
) <-chan outcome {
	done := make(chan outcome, 1)
	go func() {
		var got []string
		var failed error
		var result string
		for item, err := range wsx.Stream[int](ctx, conn, "count", nil,
			&wsx.StreamOptions{Buffer: buffer, Result: &result}) {
			if err != nil {
				failed = err
				continue // the loop ends by itself
			}
			got = append(got, fmt.Sprint(item))
			if stop != nil && stop(item) {
				break
			}
		}
		done <- outcome{strings.Join(append(got, result), " "), failed}
	}()
	return done
}

func TestCall_OnTheWire(t *testing.T) {
	called(t, &wsx.ServerOptions{MaxCalls: 2}, func(t *testing.T, conn *wsx.Conn, s *socket) {
		ctx, cancel := context.WithCancelCause(t.Context())
		done := calling(ctx, conn, "slow")
		s.expect(`{"type":"rpc.request","id":1,"method":"slow","params":5}`)
		bored := errors.New("bored")
		cancel(bored)
		s.expect(`{"type":"rpc.cancel","id":1}`)
		if o := <-done; !errors.Is(o.err, bored) {
			t.Error(o)
		}
		if _, err := wsx.Call[int](ctx, conn, "never sent", nil); !errors.Is(err, bored) {
			t.Error(err)
		}
		s.send(response("1", `"late"`), response(`"1"`, "1"), response("99", "1"),
			fault("null", "X", "y"), streamItem("1", "1", 0), ping)
		s.expect(pong) // none of it does harm

		soon, cancelSoon := context.WithTimeout(t.Context(), time.Second)
		defer cancelSoon()
		done = calling(soon, conn, "soon")
		s.expect(
			`{"type":"rpc.request","id":2,"method":"soon","params":5,"meta":{"timeout_ms":1000}}`)
		s.send(fault("2", "DEADLINE_EXCEEDED", "over"))
		if o := <-done; !errors.Is(o.err, context.DeadlineExceeded) ||
			!errors.Is(o.err, wsx.NewError(wsx.CodeDeadlineExceeded, "")) {
			t.Error(o)
		}

		done, other := calling(t.Context(), conn, "a"), calling(t.Context(), conn, "a")
		s.read()
		s.read()
		if _, err := wsx.Call[int](t.Context(), conn, "b", nil); !errors.Is(err,
			wsx.NewError(wsx.CodeResourceExhausted, "")) {
			t.Error(err)
		}
		s.send(`{"type":"rpc.response","id":3}`,
			`{"type":"rpc.error","id":4,"error":{"code":"X","message":"y","details":[1]}}`)
		for range 2 {
			select {
			case o := <-done:
				done = nil
				if !strings.Contains(fmt.Sprint(o.err), "cannot be read") &&
					!errors.Is(o.err, wsx.NewError("X", "y")) {
					t.Error(o)
				}
			case o := <-other:
				other = nil
				if !strings.Contains(fmt.Sprint(o.err), "cannot be read") &&
					!errors.Is(o.err, wsx.NewError("X", "y")) {
					t.Error(o)
				}
			}
		}
		if _, err := wsx.Call[int](t.Context(), nil, "x", nil); !errors.Is(err,
			wsx.NewError(wsx.CodeConflict, "")) {
			t.Error(err)
		}
		if _, err := wsx.Call[int](t.Context(), conn, "x", func() {}); err == nil {
			t.Error("encoded a function")
		}
	})
}

func TestCall_SpeaksJSONRPCToWhoDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := callDispatcher()
		conns := make(chan *wsx.Conn, 1)
		wsx.Handle(d, "hello", func(ctx context.Context, _ struct{}) (string, error) {
			conns <- wsx.ConnFrom(ctx)
			return wsx.Call[string](ctx, wsx.ConnFrom(ctx), "name", []int{5})
		})
		s := dial(t, d, &wsx.ServerOptions{KeepaliveAfter: -1})
		s.send(`{"jsonrpc":"2.0","id":7,"method":"hello"}`)
		s.expect(`{"jsonrpc":"2.0","id":1,"method":"name","params":[5]}`)
		s.send(`{"jsonrpc":"2.0","id":1,"result":"ann"}`)
		s.expect(`{"jsonrpc":"2.0","id":7,"result":"ann"}`)

		conn := <-conns
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := wsx.Call[string](ctx, conn, "slow", nil)
			done <- err
		}()
		s.expect(`{"jsonrpc":"2.0","id":2,"method":"slow"}`)
		cancel()
		s.expect(`{"jsonrpc":"2.0","method":"rpc.cancel","params":{"id":2}}`)
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if _, err := wsx.Call[string](t.Context(), conn, "scalar", 5); err == nil {
			t.Error("JSON-RPC has no scalar params")
		}
		for _, err := range wsx.Stream[int](t.Context(), conn, "count", nil, nil) {
			if err == nil {
				t.Error("JSON-RPC has no streams")
			}
		}
	})
}

// Clients of others do not all keep to the specification: each of their answers ends its call, and
// none is answered.
func TestCall_TakesAnswersOfLooseJSONRPCClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := callDispatcher()
		conns := make(chan *wsx.Conn, 1)
		wsx.Handle(d, "hello",
			func(ctx context.Context, _ struct{}) (int, error) {
				conns <- wsx.ConnFrom(ctx)
				return 0, nil
			})
		s := dial(t, d, &wsx.ServerOptions{KeepaliveAfter: -1})
		s.send(`{"jsonrpc":"2.0","id":0,"method":"hello"}`)
		s.expect(`{"jsonrpc":"2.0","id":0,"result":0}`)
		conn := <-conns
		for i, tc := range []struct{ answer, want string }{
			{`"id":ID,"result":"seven","error":null`, "seven <nil>"},
			{`"id":ID.0,"result":"seven"`, "seven <nil>"},
			{`"id":"ID","result":"seven"`, "seven <nil>"},
			{`"id":ID`, " <nil>"},
			{`"id":ID,"error":null`, " <nil>"},
			{`"id":ID,"error":"no","result":null`, " INTERNAL_ERROR: no"},
			{`"id":ID,"error":{"code":"-32601","message":"no"}`, " METHOD_NOT_FOUND: no"},
			{
				`"id":ID,"result":"seven","result":"eight"`,
				" wsx: the client's answer cannot be read: a member name occurs twice",
			},
		} {
			id := fmt.Sprint(i + 1)
			done := make(chan string, 1)
			go func() {
				got, err := wsx.Call[string](t.Context(), conn, "name", nil)
				done <- fmt.Sprint(got, " ", err)
			}()
			s.expect(`{"jsonrpc":"2.0","id":` + id + `,"method":"name"}`)
			answer := `{"jsonrpc":"2.0",` + strings.ReplaceAll(tc.answer, "ID", id) + `}`
			s.send(answer)
			if got := <-done; got != tc.want {
				t.Errorf("%s: %s, want %s", tc.answer, got, tc.want)
			}
			if tc.want != " <nil>" || strings.Contains(answer, "error") {
				s.send(answer) // to nobody now
			}
		}
		// of no call: it is what the specification calls an invalid request
		s.send(`{"jsonrpc":"2.0","id":99}`)
		if got := s.read(); !strings.HasPrefix(got,
			`{"jsonrpc":"2.0","id":99,"error":{"code":-32600,`) {
			t.Error(got)
		}
	})
}

func TestCall_FailsWithTheConnection(t *testing.T) {
	called(t, nil, func(t *testing.T, conn *wsx.Conn, s *socket) {
		call, loop := calling(t.Context(), conn, "slow"), looping(t.Context(), conn, 0, nil)
		s.read()
		s.read()
		_ = s.c.Close(4321, "bye")
		for _, done := range []<-chan outcome{call, loop} {
			o := <-done
			ce, ok := errors.AsType[websocket.CloseError](o.err)
			if !errors.Is(o.err, wsx.ErrClosed) || !ok || ce.Code != 4321 {
				t.Error(o)
			}
		}
		<-conn.Context().Done()
		if o := <-calling(t.Context(), conn, "late"); !errors.Is(o.err, wsx.ErrClosed) {
			t.Error(o)
		}
	})
}

func TestStream_OnTheWire(t *testing.T) {
	called(t, nil, func(t *testing.T, conn *wsx.Conn, s *socket) {
		opened := func(id string, window int) {
			t.Helper()
			s.expect(
				fmt.Sprintf(`{"type":"rpc.request","id":%s,"method":"count","meta":{"window":%d}}`,
					id, window))
		}
		ack := func(id string, next int) {
			t.Helper()
			s.expect(
				fmt.Sprintf(`{"type":"rpc.notify","event":"wsx.ack","payload":{"id":%s,"next":%d}}`,
					id, next))
		}
		done := looping(t.Context(), conn, 4, nil)
		opened("1", 4)
		for i := range 4 {
			s.send(streamItem("1", fmt.Sprint(i), i))
		}
		ack("1", 2)
		ack("1", 4)
		s.send(response("1", `"end"`))
		if o := <-done; o.got != "0 1 2 3 end" || o.err != nil {
			t.Error(o)
		}

		done = looping(t.Context(), conn, 0, func(item int) bool { return item == 1 })
		opened("2", 256)
		s.send(streamItem("2", "0", 0), streamItem("2", "1", 1))
		s.expect(`{"type":"rpc.cancel","id":2}`)
		s.send(streamItem("2", "2", 2), fault("2", "CANCELLED", "cancelled"))
		if o := <-done; o.got != "0 1 " || o.err != nil {
			t.Error(o)
		}

		for id, wrong := range map[string][]string{
			"order": {streamItem("%", "0", 0), streamItem("%", "2", 2)},
			"again": {streamItem("%", "0", 0), streamItem("%", "0", 0)},
			"type":  {streamItem("%", "0", 0), streamItem("%", `"x"`, 1)},
		} {
			done = looping(t.Context(), conn, 0, nil)
			n := strings.Split(strings.Split(s.read(), `"id":`)[1], ",")[0]
			for _, m := range wrong {
				s.send(strings.Replace(m, "%", n, 1))
			}
			s.expect(`{"type":"rpc.cancel","id":` + n + `}`)
			if o := <-done; o.got != "0 " || o.err == nil {
				t.Error(id, o)
			}
		}
	})
}

// A client that heeds no window is not read while the loop is behind, and given up when that takes
// too long.
func TestStream_TooSlowForAClientWithoutWindows(t *testing.T) {
	called(t, nil, func(t *testing.T, conn *wsx.Conn, s *socket) {
		stuck := make(chan struct{})
		done := looping(t.Context(), conn, 2, func(item int) bool {
			if item == 0 {
				<-stuck
			}
			return false
		})
		s.read()
		began := time.Now()
		for i := range 4 { // one is in the loop, two wait, the last finds no room
			s.send(streamItem("1", fmt.Sprint(i), i))
		}
		s.send(ping)
		s.expect(`{"type":"rpc.cancel","id":1}`, pong)
		if took := time.Since(began); took != 2*time.Second {
			t.Error(took)
		}
		close(stuck)
		if o := <-done; o.got != "0 1 2 " || o.err == nil ||
			!strings.Contains(o.err.Error(), "not taken in time") {
			t.Error(o)
		}
	})
}
