package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

func streamItem(id, item string, seq int) string {
	return fmt.Sprintf(`{"type":"rpc.stream","id":%s,"item":%s,"seq":%d}`, id, item, seq)
}

type counted struct {
	Count int `json:"count"`
}

// streams has a method that counts, and says on ended how far it came.
func streams(ended chan<- int) *wsx.Dispatcher {
	d := callDispatcher()
	wsx.HandleStream(d, "count",
		func(_ context.Context, n int, out *counted) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				defer func() {
					if ended != nil {
						ended <- out.Count
					}
				}()
				for ; out.Count < n; out.Count++ {
					if !yield(out.Count, nil) {
						return
					}
				}
			}
		})
	return d
}

func TestHandleStream_OnTheWire(t *testing.T) {
	d := streams(nil)
	wsx.HandleStream(d, "none",
		func(context.Context, struct{}, *struct{}) iter.Seq2[string, error] { return nil })
	wsx.HandleStream(d, "odd", func(context.Context, struct{}, *struct{}) iter.Seq2[any, error] {
		return func(yield func(any, error) bool) { yield(func() {}, nil) }
	})
	wsx.HandleStream(d, "fails",
		func(context.Context, struct{}, *struct{}) iter.Seq2[string, error] {
			return func(yield func(string, error) bool) {
				_ = yield("a\"b", nil) && yield("", wsx.NewError("GONE", "no more")) &&
					yield("never", nil)
			}
		})
	wsx.HandleStream(d, "panics", func(context.Context, struct{}, *struct{}) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) { yield(1, nil); panic("canary") }
	})
	s := dial(t, d, nil)
	s.send(request("1", "count", "2"))
	s.expect(streamItem("1", "0", 0), streamItem("1", "1", 1), response("1", `{"count":2}`))
	s.send(request(`"a"`, "count", ""))
	s.expect(response(`"a"`, `{"count":0}`))
	s.send(request("1", "fails", ""))
	s.expect(streamItem("1", `"a\"b"`, 0), fault("1", "GONE", "no more"))
	s.send(request("2", "panics", ""))
	s.expect(streamItem("2", "1", 0), fault("2", "INTERNAL_ERROR", "internal error"))
	s.send(request("3", "none", ""), ping)
	s.expect(fault("3", "INTERNAL_ERROR", "internal error"), pong)
	s.send(request("4", "odd", ""))
	s.expect(fault("4", "INTERNAL_ERROR", "internal error"))
	s.send(`{"type":"rpc.notify","method":"count","params":3}`, request("5", "count", "1"))
	// and no items of the notification
	s.expect(streamItem("5", "0", 0), response("5", `{"count":1}`))

	got, err := d.Call(t.Context(), "count", []byte("3"))
	if err != nil || string(got) != `{"count":3}` {
		t.Error(string(got), err)
	}
	var items []string
	got, err = d.Serve(t.Context(),
		&wsx.Request{Method: "count", Params: []byte("3"), Emit: func(item jsontext.Value) error {
			items = append(items, string(item))
			return nil
		}})
	if err != nil || string(got) != `{"count":3}` || strings.Join(items, "") != "012" {
		t.Error(string(got), err, items)
	}
	enough := errors.New("enough")
	if _, err = d.Serve(t.Context(),
		&wsx.Request{
			Method: "count", Params: []byte("3"),
			Emit: func(jsontext.Value) error { return enough },
		}); !errors.Is(err, enough) {
		t.Error(err)
	}
}

func TestHandleStream_EndsTheIteratorWithTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan int, 1)
		s := dial(t, streams(ended),
			&wsx.ServerOptions{KeepaliveAfter: -1, WriteTimeout: time.Hour})
		for name, end := range map[string]struct{ request, more, want string }{
			"cancel": {
				`{"type":"rpc.request","id":1,"method":"count","params":9,"meta":{"window":2}}`,
				`{"type":"rpc.cancel","id":1}`, fault("1", "CANCELLED", "cancelled"),
			},
			"deadline": {
				`{"type":"rpc.request","id":1,"method":"count","params":9,"meta":{"window":2,` +
					`"timeout_ms":500}}`,
				ping, fault("1", "DEADLINE_EXCEEDED", "deadline exceeded"),
			},
		} {
			s.send(end.request)
			s.expect(streamItem("1", "0", 0), streamItem("1", "1", 1))
			synctest.Wait()
			select {
			case n := <-ended:
				t.Fatalf("%s: ended at %d by itself", name, n)
			default: // it waits for an acknowledgement
			}
			s.send(end.more)
			if end.more == ping {
				s.expect(pong)
			}
			s.expect(end.want)
			if n := <-ended; n != 2 {
				t.Errorf("%s: came to %d", name, n)
			}
		}

		s.send(`{"type":"rpc.request","id":1,"method":"count","params":9,"meta":{"window":1}}`)
		s.expect(streamItem("1", "0", 0))
		_ = s.c.CloseNow()
		if n := <-ended; n != 1 {
			t.Errorf("connection's end: came to %d", n)
		}
	})
}

func TestHandleStream_KeepsToTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dial(t, streams(nil), &wsx.ServerOptions{KeepaliveAfter: -1})
		ack := func(next string) string {
			return `{"type":"rpc.notify","method":"wsx.ack","params":{"id":1,"next":` + next + `}}`
		}
		nothing := func() {
			t.Helper()
			s.send(ping)
			s.expect(pong)
		}
		s.send(`{"type":"rpc.request","id":1,"method":"count","params":6,"meta":{"window":2}}`)
		s.expect(streamItem("1", "0", 0), streamItem("1", "1", 1))
		nothing()
		// none of them can be true
		s.send(ack("3"), ack("0"), ack("-1"), ack(`"1"`), ack("99999999999999999999"))
		nothing()
		s.send(ack("1"))
		s.expect(streamItem("1", "2", 2))
		nothing()
		s.send(ack("3"))
		s.expect(streamItem("1", "3", 3), streamItem("1", "4", 4))
		s.send(ack("5"))
		s.expect(streamItem("1", "5", 5), response("1", `{"count":6}`))
	})
}

// Streams that wait for their client hold no place: what they wait for comes behind other requests.
func TestHandleStream_WaitingDoesNotCountAsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dial(t, streams(nil),
			&wsx.ServerOptions{KeepaliveAfter: -1, MaxInFlight: 2, MaxCalls: 3})
		for id := range 5 {
			s.send(
				fmt.Sprintf(
					`{"type":"rpc.request","id":%d,"method":"count","params":2,`+
						`"meta":{"window":1}}`, id))
			s.expect(streamItem(fmt.Sprint(id), "0", 0))
		}
		s.send(request("7", "echo", "1"))
		s.expect(fault("7", "RESOURCE_EXHAUSTED", "too many requests wait for this client"))
		for id := range 5 {
			s.send(
				fmt.Sprintf(`{"type":"rpc.notify","method":"wsx.ack","params":{"next":1,"id":%d}}`,
					id))
			s.expect(streamItem(fmt.Sprint(id), "1", 1), response(fmt.Sprint(id), `{"count":2}`))
		}
		s.send(request("7", "echo", "1"))
		s.expect(response("7", "1"))
	})
}

// A notification is not answered, so the log tells that it was dropped: once, until many fewer wait
// for their client.
func TestServer_LogsNotificationsDroppedWhileTooManyArePaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		s := dial(t, streams(nil), &wsx.ServerOptions{
			KeepaliveAfter: -1, MaxInFlight: 2, MaxCalls: 3, Logger: log.logger(),
		})
		const ids = 5
		pauseAll := func() {
			for id := range ids {
				s.send(fmt.Sprintf(`{"type":"rpc.request","id":%d,"method":"count","params":2,`+
					`"meta":{"window":1}}`, id))
				s.expect(streamItem(fmt.Sprint(id), "0", 0))
			}
		}
		end := func(id int) {
			s.send(fmt.Sprintf(
				`{"type":"rpc.notify","method":"wsx.ack","params":{"next":1,"id":%d}}`, id))
			s.expect(streamItem(fmt.Sprint(id), "1", 1),
				response(fmt.Sprint(id), `{"count":2}`))
			synctest.Wait() // the answer comes before the place is free
		}
		dropped := func(want int) {
			t.Helper()
			s.send(notification("echo", "1"), notification("echo", "2"), ping)
			s.expect(pong)
			lines := strings.Count(log.String(), `level=WARN msg="wsx: notifications dropped: `+
				`too many requests wait for this client"`)
			if lines != want {
				t.Errorf("%d lines, not %d, on what was dropped:\n%s", lines, want, log.String())
			}
		}
		pauseAll()
		dropped(1)
		end(0)
		s.send(`{"type":"rpc.request","id":0,"method":"count","params":2,"meta":{"window":1}}`)
		s.expect(streamItem("0", "0", 0))
		dropped(1) // one place that was free for a moment is no end of the burst
		for id := range ids {
			end(id)
		}
		pauseAll()
		dropped(2)
		for id := range ids {
			end(id)
		}
	})
}

func TestProgress_OnTheWire(t *testing.T) {
	d := streams(nil)
	late := make(chan error, 1)
	wsx.HandleStream(d, "work",
		func(ctx context.Context, _ struct{}, _ *struct{}) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				if err := errors.Join(wsx.Progress(ctx, 0.5),
					wsx.Progress(ctx, []string{"half"})); err != nil {
					yield(0, err)
					return
				}
				if yield(7, nil) && wsx.Progress(ctx, func() {}) == nil &&
					wsx.RequestFrom(ctx).Report != nil {
					yield(0, errors.New("a function was reported"))
				}
				go func() {
					<-ctx.Done()
					late <- wsx.Progress(ctx, "late")
				}()
			}
		})
	s := dial(t, d, nil)
	s.send(`{"type":"rpc.request","id":1,"method":"work","meta":{"progress":true}}`)
	s.expect(
		`{"type":"rpc.stream","id":1,"item":null,"seq":0,"meta":{"progress":0.5}}`,
		`{"type":"rpc.stream","id":1,"item":null,"seq":1,"meta":{"progress":["half"]}}`,
		streamItem("1", "7", 2), response("1", "null"))
	if err := <-late; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, meta := range []string{"", `,"meta":{"progress":false}`, `,"meta":{"progress":1}`} {
		s.send(`{"type":"rpc.request","id":1,"method":"work"` + meta + `}`)
		s.expect(streamItem("1", "7", 0), response("1", "null"))
		if err := <-late; err != nil { // nobody asked
			t.Error(err)
		}
	}
}
