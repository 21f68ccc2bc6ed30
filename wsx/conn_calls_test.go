package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

func cancelling(id string) string { return `{"type":"rpc.cancel","id":` + id + `}` }

func notification(method, params string) string {
	return `{"type":"rpc.notify","method":"` + method + `","params":` + params + `}`
}

func TestServer_ReadsOnAtItsInFlightLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := callDispatcher()
		started := make(chan string, 100)
		release := make(chan struct{})
		wsx.Handle(d, "hold", func(ctx context.Context, n string) (string, error) {
			started <- n
			select {
			case <-release:
			case <-ctx.Done():
			}
			return n, ctx.Err()
		})
		s := dial(t, d, &wsx.ServerOptions{MaxInFlight: 3})
		hold := func(n string) string { return request(n, "hold", `"`+n+`"`) }
		s.send(hold("0"), hold("1"), hold("2"))
		settle()
		s.send(hold("3"), hold("4"),
			`{"type":"rpc.request","id":5,"method":"hold","params":"5","meta":{"timeout_ms":2000}}`,
			hold("6"), ping)
		s.expect(pong)
		s.send(hold("4"), cancelling("3"), cancelling("1"))
		s.expect(fault("4", "INVALID_REQUEST", "a request with this id is in flight"),
			fault("3", "CANCELLED", "cancelled"), fault("1", "CANCELLED", "cancelled"))
		settle()
		if got := drained(started); got != "0 1 2 4" { // 1 made room, 3 never ran
			t.Fatalf("started %s", got)
		}
		s.expect(fault("5", "DEADLINE_EXCEEDED", "deadline exceeded")) // while it waited
		close(release)
		left := map[string]bool{}
		for range 4 {
			left[s.read()] = true
		}
		for _, n := range []string{"0", "2", "4", "6"} {
			if !left[response(n, `"`+n+`"`)] {
				t.Errorf("no answer to %s among %v", n, left)
			}
		}
		if got := drained(started); got != "6" {
			t.Errorf("then started %s", got)
		}
	})
}

// drained is what is in a channel.
func drained(c chan string) string {
	var all []string
	for len(c) > 0 {
		all = append(all, <-c)
	}
	return strings.Join(all, " ")
}

// What ends a connection has to be read, too: the handlers learn of it, and what still waits never
// runs.
func TestServer_AClientThatGoesEndsWhatRunsAndWhatWaits(t *testing.T) {
	for name, leave := range map[string]func(s *socket){
		"without a word": func(s *socket) { _ = s.c.CloseNow() },
		"politely":       func(s *socket) { _ = s.c.Close(1000, "") },
	} {
		t.Run(name, func(t *testing.T) {
			d := callDispatcher()
			var began atomic.Int32
			ran := make(chan context.Context, 100)
			wsx.Handle(d, "hang", func(ctx context.Context, _ struct{}) (struct{}, error) {
				began.Add(1)
				ran <- ctx
				<-ctx.Done()
				return struct{}{}, ctx.Err()
			})
			s := dialSocket(t, nil, serveTCP(t, d, &wsx.ServerOptions{MaxInFlight: 2}))
			for i := range 50 {
				s.send(request(fmt.Sprint(i), "hang", ""))
			}
			ctx := <-ran
			<-ran
			s.send(ping)
			s.expect(pong)
			leave(s)
			<-ctx.Done()
			<-wsx.ConnFrom(ctx).Context().Done()
			if n := began.Load(); n != 2 {
				t.Errorf("%d ran", n)
			}
		})
	}
}

// The answer to a call of the server comes over the same connection as the requests that wait.
func TestServer_AnAnswerOfTheClientPassesWhatWaits(t *testing.T) {
	d := callDispatcher()
	wsx.Handle(d, "ask", func(ctx context.Context, _ struct{}) (int, error) {
		// not its own context: it counts
		return wsx.Call[int](context.WithoutCancel(context.Background()), wsx.ConnFrom(ctx),
			"where", nil)
	})
	s := dial(t, d, &wsx.ServerOptions{MaxInFlight: 1})
	s.send(request("1", "ask", ""))
	s.expect(`{"type":"rpc.request","id":1,"method":"where"}`)
	s.send(request("2", "echo", "2"), request("3", "echo", "3"), response("1", "7"))
	s.expect(response("1", "7"), response("2", "2"), response("3", "3"))
}

func TestServer_RefusesRequestsThatNeitherRunNorWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := callDispatcher()
		started, release := make(chan string, 100), make(chan struct{})
		wsx.Handle(d, "hold",
			func(_ context.Context, n string) (string, error) {
				started <- n
				<-release
				return n, nil
			})
		var log logBuffer
		s := dial(t, d, &wsx.ServerOptions{MaxInFlight: 1, MaxWaiting: 2, Logger: log.logger()})
		hold := func(n string) string { return request(n, "hold", `"`+n+`"`) }
		s.send(hold("1"))
		settle()
		const over = `,"error":{"code":"UNAVAILABLE","message":"too many requests of this ` +
			`connection wait","details":{"retry_after_ms":1000}}}`
		from := time.Now()
		s.send(hold("2"), hold("3"), hold("4"),
			`[{"jsonrpc":"2.0","id":5,"method":"hold","params":["5"]},{"jsonrpc":"2.0",`+
				`"method":"hold","params":["6"]}]`,
			notification("hold", `"7"`), notification("hold", `"8"`), cancelling("1"), ping)
		s.expect(`{"type":"rpc.error","id":4`+over,
			`[{"jsonrpc":"2.0","id":5,"error":{"code":-32000,"message":"too many requests of `+
				`this connection wait","data":{"code":"UNAVAILABLE",`+
				`"details":{"retry_after_ms":1000}}}}]`,
			fault("1", "CANCELLED", "cancelled"), pong)
		if took := time.Since(from); took > 2*time.Second {
			t.Errorf("what stands behind it was read after %v", took)
		}
		if n := strings.Count(log.String(), "notifications dropped"); n != 1 {
			t.Errorf("%d lines on what was dropped:\n%s", n, log.String())
		}
		close(release)
		s.expect(response("2", `"2"`), response("3", `"3"`))
		s.send(hold("9"))
		s.expect(response("9", `"9"`))
		if got := drained(started); got != "1 2 3 9" {
			t.Errorf("started %s", got)
		}
	})
}

// Notifications cannot be sent again by who does not learn of their loss: as long as calls end,
// their sender waits.
func TestServer_LosesNoNotificationWhileCallsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := callDispatcher()
		const sent = 60
		var seen sync.Map
		var n atomic.Int32
		wsx.HandleNotify(d, "slow", func(_ context.Context, i int) error {
			<-time.After(900 * time.Millisecond)
			if _, twice := seen.LoadOrStore(i, true); !twice {
				n.Add(1)
			}
			return nil
		})
		s := dial(t, d, &wsx.ServerOptions{MaxInFlight: 2, MaxWaiting: 3, KeepaliveAfter: -1})
		for i := range sent {
			s.send(notification("slow", fmt.Sprint(i)))
		}
		s.send(ping)
		s.expect(pong)
		<-time.After(10 * time.Second)
		if n.Load() != sent {
			t.Errorf("%d of %d", n.Load(), sent)
		}
	})
}

// A notification whose deadline has passed before there was room never runs, and the log says so.
func TestServer_LogsNotificationsThatWaitedForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, contexts, release := handing()
		var log logBuffer
		s := dial(t, d, &wsx.ServerOptions{
			MaxInFlight: 1, RequestTimeout: 2 * time.Second, Logger: log.logger(),
		})
		s.send(request("1", "hand", ""))
		<-contexts
		s.send(notification("hand", "{}"))
		s.expect(fault("1", "DEADLINE_EXCEEDED", "deadline exceeded"))
		settle()
		close(release)
		s.send(request("2", "echo", "2"))
		s.expect(response("2", "2"))
		if n := strings.Count(log.String(), "deadline exceeded"); n != 1 || len(contexts) > 0 {
			t.Errorf("%d lines on the notification:\n%s", n, log.String())
		}
	})
}

// A client that does not read what it asked for can still cancel it, and is closed when what it
// must be told piles up.
func TestServer_ReadsOnWhileItsOutQueueIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, contexts, release := handing()
		close(release)
		wsx.Handle(d, "hang", func(ctx context.Context, _ struct{}) (struct{}, error) {
			contexts <- ctx
			<-ctx.Done()
			return struct{}{}, ctx.Err()
		})
		_, client := serve(t, d,
			&wsx.ServerOptions{MaxQueueMessages: 2, WriteTimeout: time.Hour, KeepaliveAfter: -1})
		rwc := dialRaw(t, client, "http://wsx.test/")
		send := func(m string) {
			t.Helper()
			if _, err := io.WriteString(rwc, frameOf(m)); err != nil {
				t.Fatal(err)
			}
		}
		send(request("1", "hang", ""))
		ctx := <-contexts
		for i := range 20 {
			send(request(fmt.Sprint(2+i), "echo", `"`+strings.Repeat("x", 1000)+`"`))
		}
		send(cancelling("1"))
		<-ctx.Done()
		conn := wsx.ConnFrom(ctx)
		go func() { // pings that nobody reads the answers of
			for conn.Context().Err() == nil {
				_, _ = io.WriteString(rwc,
					frameOf(`{"type":"rpc.ping","id":"`+strings.Repeat("x", 60000)+`"}`))
			}
		}()
		<-conn.Context().Done()
		if err := context.Cause(conn.Context()); !strings.Contains(err.Error(), "slow consumer") {
			t.Error(err)
		}
		_ = rwc.Close()
	})
}

// frameOf is a text message of a client, with a mask of zeros.
func frameOf(m string) string {
	switch n := len(m); {
	case n < 126:
		return string([]byte{0x81, 0x80 | byte(n), 0, 0, 0, 0}) + m
	default:
		return string([]byte{0x81, 0x80 | 126, byte(n >> 8), byte(n), 0, 0, 0, 0}) + m
	}
}

func TestServer_StopRefusesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, contexts, release := handing()
		var log logBuffer
		server, client := serve(t, d, &wsx.ServerOptions{MaxInFlight: 1, Logger: log.logger()})
		s := dialSocket(t, client, "ws://wsx.test/")
		s.send(request("1", "hand", ""))
		<-contexts
		s.send(request("2", "hand", ""), notification("hand", "{}"),
			`{"type":"rpc.request","id":3,"method":"hand","meta":{"timeout_ms":60000}}`, ping)
		s.expect(pong)
		stopped := make(chan error)
		go func() { stopped <- server.Stop(t.Context()) }()
		s.expect(fault("2", "UNAVAILABLE", "the server is shutting down"),
			fault("3", "UNAVAILABLE", "the server is shutting down"))
		s.send(notification("hand", "{}"), ping)
		s.expect(pong)
		if n := strings.Count(log.String(), "the server is shutting down"); n != 2 {
			t.Errorf("%d lines on the notifications, one that waited and one that came:\n%s", n,
				log.String())
		}
		close(release)
		s.expect(response("1", "null"))
		s.expectClosed(1001)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

// Requests with one key keep their order through the waiting.
func TestSerial_KeepsTheOrderOfWhatWaits(t *testing.T) {
	d := callDispatcher()
	var mu sync.Mutex
	var order []string
	wsx.Handle(d, "append", func(_ context.Context, n string) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, n)
		return len(order), nil
	})
	release := make(chan struct{})
	wsx.Handle(d, "hold",
		func(context.Context, struct{}) (struct{}, error) { <-release; return struct{}{}, nil })
	d.Serial(nil, "append")
	s := dial(t, d, &wsx.ServerOptions{MaxInFlight: 2})
	s.send(request(`"a"`, "hold", ""), request(`"b"`, "hold", ""))
	var want []string
	for i := range 40 {
		want = append(want, fmt.Sprint(i))
		s.send(request(fmt.Sprint(i), "append", fmt.Sprintf("%q", fmt.Sprint(i))))
	}
	close(release)
	for range 42 {
		s.read()
	}
	if got, want := strings.Join(order, " "), strings.Join(want, " "); got != want {
		t.Errorf("ran %s", got)
	}
}

// A handler that waits for its client makes room, also for what already waits.
func TestServer_AHandlerThatWaitsForItsClientMakesRoom(t *testing.T) {
	d := callDispatcher()
	wsx.Handle(d, "ask", func(ctx context.Context, _ struct{}) (jsontext.Value, error) {
		out, err := wsx.Call[jsontext.Value](ctx, wsx.ConnFrom(ctx), "where", nil)
		return out, errors.Join(err)
	})
	hold := make(chan struct{})
	wsx.Handle(d, "hold", func(ctx context.Context, _ struct{}) (jsontext.Value, error) {
		<-hold
		return wsx.Call[jsontext.Value](ctx, wsx.ConnFrom(ctx), "there", nil)
	})
	s := dial(t, d, &wsx.ServerOptions{MaxInFlight: 1})
	s.send(request("1", "hold", ""), request("2", "echo", "2"), ping)
	s.expect(pong)
	close(hold)
	got := map[string]bool{s.read(): true, s.read(): true}
	if !got[response("2", "2")] || !got[`{"type":"rpc.request","id":1,"method":"there"}`] {
		t.Fatal(got)
	}
	s.send(response("1", "1"))
	s.expect(response("1", "1"))
}
