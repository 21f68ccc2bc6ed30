package clientcall_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// wirePeer is the other end: it remembers what it was sent.
type wirePeer struct {
	mu   sync.Mutex
	sent []string
	full bool // has no room
	room chan struct{}
	done chan struct{}
}

func newPeer() *wirePeer { return &wirePeer{done: make(chan struct{})} }

func (p *wirePeer) Send(ctx context.Context, b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.full {
		room := p.room
		p.mu.Unlock()
		select {
		case <-room:
			p.mu.Lock()
		case <-ctx.Done():
			p.mu.Lock()
			return context.Cause(ctx)
		}
	}
	p.sent = append(p.sent, string(b))
	return nil
}

func (p *wirePeer) Urge(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, string(b))
}

func (p *wirePeer) Done() <-chan struct{} { return p.done }

// got checks what was sent since it was asked last.
func (p *wirePeer) got(t *testing.T, want ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.sent, want) {
		t.Errorf("sent %q, want %q", p.sent, want)
	}
	p.sent = nil
}

// last takes the last message that was sent, and forgets the others.
func (p *wirePeer) last() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.sent[len(p.sent)-1]
	p.sent = nil
	return last
}

func (p *wirePeer) fill(full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.full = full; full {
		p.room = make(chan struct{})
	} else {
		close(p.room)
	}
}

// say makes a message that is easy to compare.
func say(text string) func(id []byte) []byte {
	return func(id []byte) []byte { return fmt.Appendf(nil, "%s %s", id, text) }
}

func cancelOf(id string) string { return `{"type":"rpc.cancel","id":` + id + `}` }

// reply is what a call came to.
type reply struct {
	result string
	err    error
}

// start begins a call in a goroutine of its own. It is for bubbles.
func start(ctx context.Context, t *clientcall.Table, c *clientcall.Call, text string) <-chan reply {
	out := make(chan reply, 1)
	go func() {
		result, err := t.Do(ctx, c, say(text))
		out <- reply{string(result), err}
	}()
	synctest.Wait()
	return out
}

func TestTable_AnswersFindTheirCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPeer()
		table := &clientcall.Table{Peer: peer}
		a := start(t.Context(), table, &clientcall.Call{}, "a")
		b := start(t.Context(), table, &clientcall.Call{}, "b")
		peer.got(t, "1 a", "2 b")
		no := errors.New("no")
		if !table.Answer([]byte("2"), clientcall.Reply{Err: no}) ||
			!table.Answer([]byte("1"), clientcall.Reply{Result: []byte("7")}) {
			t.Error("a call was not found")
		}
		if r := <-a; r.result != "7" || r.err != nil {
			t.Error(r)
		}
		if r := <-b; r.err != no {
			t.Error(r)
		}
		for _, id := range []string{"1", "2", "3", `"1"`, "-1", "1.0", ""} {
			if table.Answer([]byte(id), clientcall.Reply{}) {
				t.Errorf("%q: there is no such call", id)
			}
		}
		if id := string(table.NextID()); id != "3" {
			t.Error("the next id is", id)
		}
		c := start(t.Context(), table, &clientcall.Call{}, "c")
		peer.got(t, "4 c")
		table.Answer([]byte("4"), clientcall.Reply{})
		<-c
	})
}

func TestTable_GivesUpWithTheContext(t *testing.T) {
	cause := errors.New("the cause")
	for name, cancel := range map[string]func(id []byte) []byte{
		cancelOf("1"): nil,
		"1 stop":      say("stop"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := newPeer()
				table := &clientcall.Table{Peer: peer, Cancel: cancel}
				ctx, end := context.WithCancelCause(t.Context())
				r := start(ctx, table, &clientcall.Call{}, "a")
				peer.got(t, "1 a")
				end(cause)
				if got := <-r; !errors.Is(got.err, cause) {
					t.Error(got)
				}
				peer.got(t, name)
				if table.Answer([]byte("1"), clientcall.Reply{}) {
					t.Error("an answer that nobody waits for found its call")
				}
				_, err := table.Do(ctx, &clientcall.Call{}, say("late"))
				if !errors.Is(err, cause) {
					t.Error(err)
				}
				peer.got(t) // a call whose context had ended is not sent
			})
		})
	}
}

// An answer that is there when the caller gives up is the call's: its effects must not be lost,
// such as a subscription that has begun.
func TestTable_AnAnswerThatCameFirstCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPeer()
		table := &clientcall.Table{Peer: peer}
		for range 50 { // a select of two that are ready takes either
			ctx, end := context.WithCancel(t.Context())
			c := &clientcall.Call{}
			answer, err := table.Begin(ctx, c, func(id []byte) []byte { return id })
			if err != nil {
				t.Fatal(err)
			}
			table.Answer([]byte(peer.last()), clientcall.Reply{Result: []byte("7")})
			end()
			if result, err := table.Await(ctx, c, answer); string(result) != "7" || err != nil {
				t.Fatal(string(result), err)
			}
			peer.got(t) // nobody was told that it was given up
		}
		// The answer is being looked at when the caller gives up.
		ctx, end := context.WithCancel(t.Context())
		looking := make(chan struct{})
		c := &clientcall.Call{OnAnswer: func(_ *clientcall.Reply, wanted bool) {
			<-looking
			if !wanted {
				t.Error("the caller had not given up yet")
			}
		}}
		r := start(ctx, table, c, "b")
		go table.Answer([]byte("51"), clientcall.Reply{Result: []byte("8")})
		synctest.Wait()
		end()
		synctest.Wait()
		close(looking)
		if got := <-r; got.result != "8" || got.err != nil {
			t.Error(got)
		}
		peer.got(t, "51 b")
	})
}

func TestTable_Limit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPeer()
		table := &clientcall.Table{Peer: peer, Limit: 1}
		r := start(t.Context(), table, &clientcall.Call{}, "a")
		if _, err := table.Do(t.Context(), &clientcall.Call{}, say("b")); !errors.Is(err,
			clientcall.ErrLimit) {
			t.Error(err)
		}
		table.Answer([]byte("1"), clientcall.Reply{})
		<-r
		r = start(t.Context(), table, &clientcall.Call{}, "c")
		peer.got(t, "1 a", "2 c")
		table.Answer([]byte("2"), clientcall.Reply{})
		<-r
	})
}

// What was not sent gets no answer, so it keeps no place: also where somebody would see the answer
// that nobody waits for.
func TestTable_WhatIsNotSentKeepsNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPeer()
		table := &clientcall.Table{Peer: peer, Limit: 1}
		peer.fill(true)
		seen := &clientcall.Call{OnAnswer: func(*clientcall.Reply, bool) {
			t.Error("an answer to what was not sent")
		}}
		if _, err := table.Begin(t.Context(), seen, say("a")); !errors.Is(err, context.Canceled) {
			t.Error(err) // without room, Begin does not wait
		}
		ctx, end := context.WithCancel(t.Context())
		r := start(ctx, table, seen, "b")
		end()
		if got := <-r; !errors.Is(got.err, context.Canceled) {
			t.Error(got)
		}
		peer.fill(false)
		peer.got(t)
		c := &clientcall.Call{}
		answer, err := table.Begin(t.Context(), c, say("c"))
		if err != nil {
			t.Fatal(err)
		}
		peer.got(t, "3 c")
		table.Answer([]byte("1"), clientcall.Reply{})
		table.Answer([]byte("3"), clientcall.Reply{Result: []byte("7")})
		if result, err := table.Await(t.Context(), c, answer); string(result) != "7" || err != nil {
			t.Error(string(result), err)
		}
	})
}

// OnAnswer sees the answer in the reader's goroutine, and also when the caller has gone.
func TestTable_OnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPeer()
		table := &clientcall.Table{Peer: peer}
		var wanted []bool
		call := func() *clientcall.Call {
			return &clientcall.Call{OnAnswer: func(r *clientcall.Reply, want bool) {
				wanted = append(wanted, want)
				r.Result = append(r.Result, '!')
			}}
		}
		r := start(t.Context(), table, call(), "a")
		table.Answer([]byte("1"), clientcall.Reply{Result: []byte("7")})
		if got := <-r; got.result != "7!" || got.err != nil {
			t.Error(got)
		}
		ctx, end := context.WithCancel(t.Context())
		r = start(ctx, table, call(), "b")
		end()
		<-r
		peer.got(t, "1 a", "2 b", cancelOf("2"))
		if !table.Answer([]byte("2"), clientcall.Reply{}) ||
			table.Answer([]byte("2"), clientcall.Reply{}) {
			t.Error("the answer is seen once")
		}
		if !slices.Equal(wanted, []bool{true, false}) {
			t.Error(wanted)
		}
	})
}

type refused struct{}

// Block ends the calls that the reader would wait for in turn, and no others.
func TestTable_Block(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPeer()
		table := &clientcall.Table{Peer: peer}
		no := errors.New("no")
		mine := context.WithValue(t.Context(), refused{}, true)
		a := start(mine, table, &clientcall.Call{}, "a")
		b := start(t.Context(), table, &clientcall.Call{}, "b")
		table.Block(func(ctx context.Context) error {
			if ctx.Value(refused{}) != nil {
				return no
			}
			return nil
		})
		if got := <-a; !errors.Is(got.err, no) {
			t.Error(got)
		}
		if _, err := table.Do(mine, &clientcall.Call{}, say("c")); !errors.Is(err, no) {
			t.Error(err)
		}
		d := start(t.Context(), table, &clientcall.Call{}, "d")
		table.Block(nil)
		e := start(mine, table, &clientcall.Call{}, "e")
		peer.got(t, "1 a", "2 b", cancelOf("1"), "3 d", "4 e")
		for i, r := range []<-chan reply{b, d, e} {
			table.Answer(fmt.Append(nil, i+2), clientcall.Reply{Result: []byte("7")})
			if got := <-r; got.result != "7" || got.err != nil {
				t.Error(got)
			}
		}
	})
}

// Abandon ends one call from this side, whatever its peer will still send.
func TestTable_Abandon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPeer()
		table := &clientcall.Table{Peer: peer}
		no := errors.New("no")
		a, b := start(t.Context(), table, &clientcall.Call{}, "a"), start(t.Context(), table,
			&clientcall.Call{}, "bb")
		if n := table.Largest(); n != len("2 bb") {
			t.Error(n)
		}
		table.Abandon([]byte("9"), no)
		table.Abandon([]byte("2"), no)
		if got := <-b; !errors.Is(got.err, no) {
			t.Error(got)
		}
		if n := table.Largest(); n != len("1 a") || table.Answer([]byte("2"), clientcall.Reply{}) {
			t.Error("the call is under way still", n)
		}
		table.Answer([]byte("1"), clientcall.Reply{Result: []byte("7")})
		if got := <-a; got.result != "7" {
			t.Error(got)
		}
		peer.got(t, "1 a", "2 bb", cancelOf("2"))
	})
}

func TestTable_Fail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPeer()
		table := &clientcall.Table{Peer: peer}
		underWay, largest, over := errors.New("may have run"), errors.New("the largest"),
			errors.New("over")
		r := start(t.Context(), table, &clientcall.Call{}, "a")
		big := start(t.Context(), table, &clientcall.Call{}, "as large as none of the others")
		ctx, end := context.WithCancel(t.Context())
		gone := start(ctx, table,
			&clientcall.Call{OnAnswer: func(*clientcall.Reply, bool) {
				t.Error("no answer came")
			}}, "b")
		end()
		<-gone
		table.Fail(underWay, largest, over)
		if got := <-r; !errors.Is(got.err, underWay) {
			t.Error(got)
		}
		if got := <-big; !errors.Is(got.err, largest) {
			t.Error(got)
		}
		if _, err := table.Do(t.Context(), &clientcall.Call{}, say("c")); !errors.Is(err, over) {
			t.Error(err)
		}
		peer.got(t, "1 a", "2 as large as none of the others", "3 b", cancelOf("3"))
	})
}

// Answers, cancellation and the end of the connection come at any time: each call ends once, with
// its own answer or a reason.
func TestTable_Concurrent(t *testing.T) {
	lost := errors.New("lost")
	const callers, calls = 8, 25
	for range 20 {
		var table clientcall.Table
		ids := make(chan string, callers*calls)
		table.Peer = channelPeer{ids: ids}
		var calling, reading sync.WaitGroup
		reading.Go(func() {
			n := 0
			for id := range ids {
				if n++; n == callers*calls/2 { // those that come later have no answer
					table.Fail(lost, lost, lost)
				} else {
					table.Answer([]byte(id), clientcall.Reply{Result: []byte(id)})
				}
			}
		})
		for i := range callers {
			calling.Go(func() {
				for range calls {
					ctx, cancel := context.WithCancel(t.Context())
					var id string
					result, err := table.Do(ctx, &clientcall.Call{}, func(b []byte) []byte {
						id = string(b)
						if i%2 == 0 {
							calling.Go(cancel)
						}
						return b
					})
					cancel()
					switch {
					case err == nil && string(result) != id:
						t.Errorf("call %s got the answer to %s", id, result)
					case err != nil && !errors.Is(err, lost) && !errors.Is(err, context.Canceled):
						t.Error(err)
					}
				}
			})
		}
		calling.Wait()
		close(ids)
		reading.Wait()
	}
}

// channelPeer hands on the ids of calls.
type channelPeer struct{ ids chan string }

func (p channelPeer) Send(_ context.Context, b []byte) error {
	if b[0] != '{' { // no rpc.cancel
		p.ids <- string(b)
	}
	return nil
}

func (channelPeer) Urge([]byte) {}

func (channelPeer) Done() <-chan struct{} { return nil }

// read makes the message that the peer would send.
func read(t *testing.T, text string) *wire.Message {
	t.Helper()
	var m wire.Message
	if fault := m.Parse([]byte(text), wire.Rules{FromServer: true}); fault != wire.OK {
		t.Fatal(fault.Text())
	}
	return &m
}
