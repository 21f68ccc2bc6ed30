package clientcall_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
)

func streamItem(seq int, item string) string {
	return fmt.Sprintf(`{"type":"rpc.stream","id":1,"item":%s,"seq":%d}`, item, seq)
}

func ackOf(next int) string {
	return fmt.Sprintf(`{"type":"rpc.notify","method":"wsx.ack","params":{"id":1,"next":%d}}`, next)
}

// streaming is a stream that was begun, in a bubble.
type streaming struct {
	items, progress []string
	end             chan struct{}
	result          string
	ended           bool
	err             error
}

// stream begins one whose loop gets an item when take has one; nil takes them at once. The loop is
// left at the item "leave".
func stream(ctx context.Context, table *clientcall.Table, buffer int,
	take <-chan struct{},
) *streaming {
	s := &streaming{end: make(chan struct{})}
	go func() {
		defer close(s.end)
		result, ended, err := table.Stream(ctx, buffer, say("s"), func(item []byte) bool {
			if take != nil {
				<-take
			}
			s.items = append(s.items, string(item))
			return string(item) != `"leave"`
		}, func(report []byte) { s.progress = append(s.progress, string(report)) })
		s.result, s.ended, s.err = string(result), ended, err
	}()
	synctest.Wait()
	return s
}

func TestStream_ItemsThenResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPeer()
		table := &clientcall.Table{Peer: peer}
		s := stream(t.Context(), table, 4, nil)
		for _, m := range []string{
			streamItem(0, "10"),
			`{"type":"rpc.stream","id":1,"item":null,"seq":1,"meta":{"progress":{"done":50}}}`,
			streamItem(2, "11"),
		} {
			table.Item(read(t, m))
			synctest.Wait()
		}
		table.Item(read(t, `{"type":"rpc.stream","id":9,"item":1,"seq":0}`)) // of no call
		peer.got(t, "1 s", ackOf(2))                                         // at half the window
		table.Answer([]byte("1"), clientcall.Reply{Result: []byte("7")})
		<-s.end
		if !slices.Equal(s.items, []string{"10", "11"}) ||
			!slices.Equal(s.progress, []string{`{"done":50}`}) || s.result != "7" || !s.ended ||
			s.err != nil {
			t.Errorf("%+v", s)
		}
		peer.got(t)
	})
}

// The answer does not overtake the items that wait.
func TestStream_AnswerComesAfterTheItems(t *testing.T) {
	for name, end := range map[string]func(*clientcall.Table){
		"answered": func(table *clientcall.Table) {
			table.Answer([]byte("1"), clientcall.Reply{Result: []byte("7")})
		},
		"lost": func(table *clientcall.Table) { table.Fail(errLost, errLost, errLost) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := &clientcall.Table{Peer: newPeer(), FromServer: true}
				take := make(chan struct{})
				s := stream(t.Context(), table, 4, take)
				for i := range 3 {
					table.Item(read(t, streamItem(i, "1")))
				}
				end(table)
				synctest.Wait()
				close(take)
				<-s.end
				if len(s.items) != 3 || !s.ended || name == "answered" && s.result != "7" ||
					name == "lost" && !errors.Is(s.err, errLost) {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

var errLost = errors.New("lost")

func TestStream_EndsEarly(t *testing.T) {
	cause := errors.New("the cause")
	for name, row := range map[string]struct {
		items []string
		end   error
		ended bool
		err   error
	}{
		"loop left": {[]string{streamItem(0, `"leave"`)}, nil, false, nil},
		"context":   {[]string{streamItem(0, "1")}, cause, true, cause},
		"item missing": {
			[]string{streamItem(0, "1"), streamItem(2, "1")},
			nil, true,
			clientcall.ErrOrder,
		},
		"item twice": {
			[]string{streamItem(0, "1"), streamItem(0, "1")},
			nil, true,
			clientcall.ErrOrder,
		},
		"not from zero": {[]string{streamItem(1, "1")}, nil, true, clientcall.ErrOrder},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := newPeer()
				table := &clientcall.Table{Peer: peer}
				ctx, end := context.WithCancelCause(t.Context())
				s := stream(ctx, table, 8, nil)
				for _, m := range row.items {
					table.Item(read(t, m))
				}
				synctest.Wait()
				if row.end != nil {
					end(row.end)
				}
				<-s.end
				if s.ended != row.ended || !errors.Is(s.err, row.err) {
					t.Errorf("%+v", s)
				}
				peer.got(t, "1 s", cancelOf("1"))
				table.Item(read(t, streamItem(2, "1"))) // on its way still: nobody waits for it
				end(nil)
			})
		})
	}
}

// A context that ends while items wait ends the loop at once, and one that ended after the answer
// too.
func TestStream_ContextEndsBeforeWaitingItems(t *testing.T) {
	for _, answered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			table := &clientcall.Table{Peer: newPeer()}
			take := make(chan struct{})
			ctx, end := context.WithCancelCause(t.Context())
			s := stream(ctx, table, 4, take)
			for i := range 3 {
				table.Item(read(t, streamItem(i, "1")))
			}
			if answered {
				table.Answer([]byte("1"), clientcall.Reply{})
			}
			end(errLost)
			close(take)
			<-s.end
			if len(s.items) != 1 || !errors.Is(s.err, errLost) {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A consumer that is stuck holds up the reader for Patience and no longer.
func TestStream_Slow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPeer()
		table := &clientcall.Table{Peer: peer}
		take := make(chan struct{})
		s := stream(t.Context(), table, 2, take)
		began := time.Now()
		for i := range 5 {
			table.Item(read(t, streamItem(i, "1")))
			synctest.Wait()
		}
		if waited := time.Since(began); waited != clientcall.Patience {
			t.Error("the reader waited", waited) // once: the call is over then
		}
		peer.got(t, "1 s", cancelOf("1"))
		close(take)
		<-s.end
		if !errors.Is(s.err, clientcall.ErrSlow) || !s.ended || len(s.items) != 3 {
			t.Errorf("%+v", s)
		}
	})
}

// Who waits for room learns that there is some, that the loop was left, or that the connection has
// ended.
func TestStream_ReaderIsFreed(t *testing.T) {
	for name, row := range map[string]struct {
		first string
		end   func(peer *wirePeer, take chan struct{})
	}{
		"taken": {"1", func(_ *wirePeer, take chan struct{}) { take <- struct{}{} }},
		"loop left": {
			`"leave"`,
			func(_ *wirePeer, take chan struct{}) { take <- struct{}{} },
		},
		"connection over": {"1", func(peer *wirePeer, _ chan struct{}) { close(peer.done) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := newPeer()
				table := &clientcall.Table{Peer: peer}
				take := make(chan struct{})
				ctx, cancel := context.WithCancel(t.Context())
				s := stream(ctx, table, 1, take)
				table.Item(read(t, streamItem(0, row.first)))
				synctest.Wait()
				table.Item(read(t, streamItem(1, "1")))
				freed := make(chan struct{})
				go func() {
					defer close(freed)
					table.Item(read(t, streamItem(2, "1")))
				}()
				synctest.Wait()
				select {
				case <-freed:
					t.Error("there was no room")
				default:
				}
				began := time.Now()
				row.end(peer, take)
				<-freed
				if waited := time.Since(began); waited != 0 {
					t.Error("the reader waited for", waited)
				}
				cancel()
				close(take)
				<-s.end
			})
		})
	}
}

// A loop whose body panics gives the call up as well.
func TestStream_PanicInTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPeer()
		table := &clientcall.Table{Peer: peer, Limit: 1}
		done := make(chan any)
		go func() {
			defer func() { done <- recover() }()
			_, _, _ = table.Stream(t.Context(), 4, say("s"), func([]byte) bool { panic("boom") },
				nil)
		}()
		synctest.Wait()
		table.Item(read(t, streamItem(0, "1")))
		if v := <-done; v != "boom" {
			t.Error(v)
		}
		peer.got(t, "1 s", cancelOf("1"))
		r := start(t.Context(), table, &clientcall.Call{}, "a") // there is room again
		table.Answer([]byte("2"), clientcall.Reply{Result: []byte("7")})
		if got := <-r; got.result != "7" || got.err != nil {
			t.Error(got)
		}
	})
}

func TestStream_NotSent(t *testing.T) {
	table := &clientcall.Table{Peer: newPeer()}
	table.Fail(errLost, errLost, errLost)
	if _, ended, err := table.Stream(t.Context(), 4, say("s"), nil, nil); !ended ||
		!errors.Is(err, errLost) {
		t.Error(ended, err)
	}
}
