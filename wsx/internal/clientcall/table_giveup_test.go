package clientcall_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
)

// Word that a call is given up gets through where nothing else does, and what is given up before it
// was sent is not left running.
func TestTable_CancellationGetsThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		peer := newPeer()
		table := &clientcall.Table{Peer: peer}
		ctx, end := context.WithCancel(t.Context())
		r := start(ctx, table, &clientcall.Call{}, "a")
		peer.fill(true)
		end()
		<-r
		peer.got(t, "1 a", cancelOf("1"))

		no := errors.New("no")
		for _, c := range []*clientcall.Call{{}, {OnAnswer: func(*clientcall.Reply, bool) {}}} {
			// the second stays in the table
			r = start(t.Context(), table, c, "b")
			table.Block(func(context.Context) error { return no })
			table.Block(nil)
			peer.fill(false)
			if got := <-r; !errors.Is(got.err, no) {
				t.Error(got)
			}
			peer.fill(true)
		}
		peer.got(t, "2 b", cancelOf("2"), "3 b", cancelOf("3"))
	})
}

// sendingPeer does what its function says while a call is being sent: the message is out, and the
// sender has not gone on.
type sendingPeer struct {
	*wirePeer
	sending func()
}

func (p sendingPeer) Send(ctx context.Context, b []byte) error {
	err := p.wirePeer.Send(ctx, b)
	p.sending()
	return err
}

// However early a call is broken off, by however many, the peer is told once, behind the call and
// not behind its own answer.
func TestTable_TellsThePeerOnce(t *testing.T) {
	no, late := errors.New("no"), errors.New("late")
	for name, row := range map[string]struct {
		sending  func(*testing.T, *clientcall.Table)
		err      error
		onAnswer bool
		sent     []string
	}{
		"an item out of order": {sending: func(t *testing.T, table *clientcall.Table) {
			table.Item(read(t, streamItem(0, "1")))
			table.Item(read(t, streamItem(2, "1")))
			for range 9 { // more than there is room for
				table.Item(read(t, streamItem(1, "1")))
			}
		}, err: clientcall.ErrOrder, sent: []string{"1 a", cancelOf("1")}},
		"abandoned twice": {sending: func(_ *testing.T, table *clientcall.Table) {
			table.Abandon([]byte("1"), no)
			table.Abandon([]byte("1"), late)
		}, err: no, sent: []string{"1 a", cancelOf("1")}},
		"abandoned, then refused": {sending: func(_ *testing.T, table *clientcall.Table) {
			table.Abandon([]byte("1"), no)
			table.Block(func(context.Context) error { return late })
			table.Block(nil)
		}, err: no, sent: []string{"1 a", cancelOf("1")}, onAnswer: true},
		"abandoned, then answered": {sending: func(_ *testing.T, table *clientcall.Table) {
			table.Abandon([]byte("1"), no)
			table.Answer([]byte("1"), clientcall.Reply{})
		}, err: no, sent: []string{"1 a"}, onAnswer: true},
		"answered, then abandoned": {sending: func(_ *testing.T, table *clientcall.Table) {
			table.Answer([]byte("1"), clientcall.Reply{Err: no})
			table.Abandon([]byte("1"), late)
		}, err: no, sent: []string{"1 a"}},
	} {
		for _, streamed := range []bool{true, false} {
			t.Run(fmt.Sprint(name, streamed), func(t *testing.T) {
				if !streamed && row.err == clientcall.ErrOrder {
					t.Skip("a call without items")
				}
				peer := newPeer()
				table := &clientcall.Table{}
				table.Peer = sendingPeer{peer, func() { row.sending(t, table) }}
				var err error
				if streamed {
					_, _, err = table.Stream(t.Context(), 4, say("a"),
						func([]byte) bool { return true }, nil)
				} else {
					c := &clientcall.Call{}
					if row.onAnswer {
						c.OnAnswer = func(*clientcall.Reply, bool) {}
					}
					_, err = table.Do(t.Context(), c, say("a"))
				}
				if !errors.Is(err, row.err) {
					t.Error(err)
				}
				peer.got(t, row.sent...)
				if table.Answer([]byte("1"), clientcall.Reply{}) !=
					(!streamed && row.onAnswer && len(row.sent) == 2) {
					t.Error("only who would look at an answer is in the table still")
				}
			})
		}
	}
}
