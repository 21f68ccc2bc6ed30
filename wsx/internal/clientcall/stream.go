package clientcall

import (
	"context"
	"errors"
	"time"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// Patience is how long the reader waits for a consumer of a stream whose buffer is full.
const Patience = 2 * time.Second

// DefaultBuffer is how many items may wait for their consumer.
const DefaultBuffer = 256

// ErrSlow ends a stream whose consumer did not keep up.
var ErrSlow = errors.New("wsx: the stream was given up: its items were not taken in time")

// ErrOrder ends a stream in which an item is missing.
var ErrOrder = errors.New(
	"wsx: the stream was given up: its items are not numbered 0, 1, 2 and so on")

// item is one rpc.stream.
type item struct {
	value    []byte
	progress bool
}

// Stream is Do for a call whose items are wanted: yield gets them, and progress its reports, in
// order. When yield returns false the call is given up, and finished is false. buffer is how many
// may wait, the window in encode's message. progress may be nil.
func (t *Table) Stream(ctx context.Context, buffer int, encode func(id []byte) []byte,
	yield func(item []byte) bool, progress func([]byte),
) (result []byte, finished bool, err error) {
	c := &Call{items: make(chan item, buffer), gone: make(chan struct{})}
	answer, err := t.begin(ctx, ctx, c, encode)
	if err != nil {
		return nil, true, err
	}
	defer func() { // also when yield panics
		close(c.gone)
		t.giveUp(c)
	}()
	var taken, told uint64
	deliver := func(i item) bool {
		switch {
		case !i.progress:
			if !yield(i.value) {
				return false
			}
		case progress != nil:
			progress(i.value)
		}
		if taken++; taken-told >= uint64(buffer+1)/2 {
			told = taken
			// when it fails, the call ends
			_ = t.Peer.Send(ctx, wire.AppendAck(nil, c.id, taken, t.FromServer))
		}
		return true
	}
	for {
		if ctx.Err() != nil {
			return nil, true, context.Cause(ctx)
		}
		select {
		case i := <-c.items:
			if !deliver(i) {
				return nil, false, nil
			}
		case <-ctx.Done():
		case r := <-answer:
			for len(c.items) > 0 { // nobody adds to them any more
				if ctx.Err() != nil {
					return nil, true, context.Cause(ctx)
				}
				if !deliver(<-c.items) {
					return nil, false, nil
				}
			}
			return r.Result, true, r.Err
		}
	}
}

// Item hands an rpc.stream to its call, if there is one that wants it. See the package's
// documentation for how it waits.
func (t *Table) Item(m *wire.Message) {
	c, wanted := t.find(m.ID)
	if !wanted || c.items == nil {
		return
	}
	if m.Seq != c.nextSeq {
		t.breakOff(c, ErrOrder)
		return
	}
	c.nextSeq++
	i := item{value: m.Item}
	if m.Progress != nil {
		i = item{m.Progress, true}
	}
	select {
	case c.items <- i:
		return
	default:
	}
	patience := time.NewTimer(Patience)
	defer patience.Stop()
	select {
	case c.items <- i:
	case <-c.gone:
	case <-t.Peer.Done():
	case <-patience.C:
		t.breakOff(c, ErrSlow)
	}
}
