package wsx_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/wsx"
)

type edit struct {
	Doc string `json:"doc"`
	N   int    `json:"n"`
}

// serialRig has the serial methods edit and undo, which say on started that they run and go on when
// they are let.
type serialRig struct {
	d       *wsx.Dispatcher
	started chan edit
	gates   sync.Map // edit to chan struct{}
}

func (r *serialRig) gate(e edit) chan struct{} {
	g, _ := r.gates.LoadOrStore(e, make(chan struct{}))
	return g.(chan struct{})
}

func newSerialRig(most int) *serialRig {
	r := &serialRig{d: callDispatcher(), started: make(chan edit, 100)}
	run := func(ctx context.Context, e edit) (int, error) {
		r.started <- e
		select {
		case <-r.gate(e):
			return e.N, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	wsx.Handle(r.d, "edit", run)
	wsx.Handle(r.d, "undo", run)
	r.d.Serial(&wsx.SerialOptions{
		MaxWaiting: most,
		Key: func(_ context.Context, q *wsx.Request) string {
			if strings.Contains(string(q.Params), "panic") {
				panic("canary")
			}
			doc, _, _ := strings.Cut(string(q.Params), ",")
			if doc == `{"doc":""` {
				return ""
			}
			return doc
		},
	}, "edit", "undo")
	return r
}

func editing(id int, method, doc string, n int) string {
	return request(fmt.Sprint(id), method, fmt.Sprintf(`{"doc":"%s","n":%d}`, doc, n))
}

func TestSerial_RunsOneKeyInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSerialRig(0)
		s := dial(t, r.d, &wsx.ServerOptions{KeepaliveAfter: -1})
		const n = 20
		for i := range n {
			s.send(editing(i, []string{"edit", "undo"}[i%2], "a", i))
		}
		s.send(editing(90, "edit", "b", 1), editing(91, "edit", "", 2), editing(92, "edit", "", 3))
		settle()
		first := map[edit]bool{
			<-r.started: true, <-r.started: true, <-r.started: true,
			<-r.started: true,
		}
		if !first[edit{"a", 0}] || !first[edit{"b", 1}] || !first[edit{"", 2}] ||
			!first[edit{"", 3}] || len(r.started) > 0 {
			t.Fatal(first, len(r.started))
		}
		for i := range n {
			close(r.gate(edit{"a", i}))
			s.expect(response(fmt.Sprint(i), fmt.Sprint(i)))
			if i < n-1 {
				if e := <-r.started; e.N != i+1 {
					t.Fatal(e, "after", i)
				}
			}
		}
		for i, e := range []edit{{"b", 1}, {"", 2}, {"", 3}} {
			close(r.gate(e))
			s.expect(response(fmt.Sprint(90+i), fmt.Sprint(e.N)))
		}
	})
}

func TestSerial_ACallGivesItsPlaceUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSerialRig(3)
		s := dial(t, r.d,
			&wsx.ServerOptions{
				KeepaliveAfter: -1, MaxInFlight: 2,
				Logger: slog.New(slog.DiscardHandler),
			})
		for i := range 3 {
			s.send(editing(i, "edit", "a", i))
		}
		s.send(
			`{"type":"rpc.request","id":3,"method":"edit","params":{"doc":"a","n":3},`+
				`"meta":{"timeout_ms":10}}`, editing(4, "edit", "a", 4))
		s.expect(fault("4", "RESOURCE_EXHAUSTED", "too many requests wait for their turn"))
		s.expect(fault("3", "DEADLINE_EXCEEDED", "deadline exceeded"))
		s.send(`{"type":"rpc.cancel","id":1}`)
		s.expect(fault("1", "CANCELLED", "cancelled"))
		<-r.started
		s.send(`{"type":"rpc.cancel","id":0}`) // the one that runs
		s.expect(fault("0", "CANCELLED", "cancelled"))
		if e := <-r.started; e.N != 2 {
			t.Fatal(e)
		}
		close(r.gate(edit{"a", 2}))
		s.expect(response("2", "2"))
		s.send(editing(5, "edit", "panic", 0))
		s.expect(fault("5", "INTERNAL_ERROR", "internal error"))
		s.send(editing(6, "edit", "a", 6))
		<-r.started
		close(r.gate(edit{"a", 6}))
		s.expect(response("6", "6"))
	})
}

func TestSerial_AcrossConnectionsAndPerConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSerialRig(0)
		wsx.Handle(r.d, "own", func(ctx context.Context, e edit) (int, error) {
			r.started <- e
			<-r.gate(e)
			return e.N, nil
		})
		r.d.Serial(nil, "own")
		_, client := serve(t, r.d, &wsx.ServerOptions{KeepaliveAfter: -1})
		a, b := dialSocket(t, client, "ws://wsx.test/"), dialSocket(t, client, "ws://wsx.test/")
		a.send(editing(1, "edit", "a", 1))
		<-r.started
		b.send(editing(2, "undo", "a", 2))
		settle()
		if len(r.started) > 0 {
			t.Error("two connections ran one key at a time")
		}
		close(r.gate(edit{"a", 1}))
		<-r.started
		a.expect(response("1", "1"))
		close(r.gate(edit{"a", 2}))
		b.expect(response("2", "2"))

		a.send(editing(1, "own", "x", 1), editing(2, "own", "x", 2))
		b.send(editing(1, "own", "y", 3))
		settle()
		if len(r.started) != 2 {
			t.Error(len(r.started), "run")
		}
		close(r.gate(edit{"x", 1}))
		a.expect(response("1", "1"))
		close(r.gate(edit{"x", 2}))
		a.expect(response("2", "2"))
		close(r.gate(edit{"y", 3}))
		b.expect(response("1", "3"))
		if got, err := r.d.Call(t.Context(), "own", []byte(`{"doc":"y","n":3}`)); err != nil ||
			string(got) != "3" {
			// over no connection
			t.Error(string(got), err)
		}
	})
}

// A turn's holder waits for its client, behind more requests for the same turn than may be in
// flight.
func TestSerial_TheHolderMayCallItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := callDispatcher()
		wsx.Handle(d, "ask", func(ctx context.Context, n int) (int, error) {
			return wsx.Call[int](ctx, wsx.ConnFrom(ctx), "double", n)
		})
		d.Serial(nil, "ask")
		s := dial(t, d, &wsx.ServerOptions{KeepaliveAfter: -1, MaxInFlight: 2})
		for i := range 10 {
			s.send(request(fmt.Sprint(i), "ask", fmt.Sprint(i)))
		}
		waiting := make(map[string]bool)
		for i := range 10 {
			waiting[response(fmt.Sprint(i), fmt.Sprint(2*i))] = true
		}
		for asked := 0; asked < 10 || len(waiting) > 0; {
			switch m := s.read(); {
			case m ==
				fmt.Sprintf(`{"type":"rpc.request","id":%d,"method":"double","params":%d}`, asked+1,
					asked):
				s.send(response(fmt.Sprint(asked+1), fmt.Sprint(2*asked)))
				asked++
			case waiting[m]: // the turn is passed on before the answer is sent
				delete(waiting, m)
			default:
				t.Fatal(m)
			}
		}
	})
}

func TestSerial_PanicsOnMistakes(t *testing.T) {
	d := callDispatcher()
	d.Serial(nil, "echo")
	for name, f := range map[string]func(){
		"unknown": func() { d.Serial(nil, "nobody") },
		"already": func() { d.Serial(nil, "echo") },
		"mounted": func() {
			wsx.NewDispatcher().Mount("x", d)
			d.Serial(nil, "add")
		},
		"stream of nil": func() { wsx.HandleStream[int, int, int](d, "s", nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error(name, "did not panic")
				}
			}()
			f()
		}()
	}
}
