package clientcall_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/wsx/internal/clientcall"
)

func TestProducer_NumbersWhatWasSent(t *testing.T) {
	var p clientcall.Producer // without a window
	var sent []uint64
	for i := range 5 {
		err := p.Send(t.Context(), func(seq uint64) error {
			if i == 2 {
				return errLost
			}
			sent = append(sent, seq)
			return nil
		})
		if (i == 2) != errors.Is(err, errLost) {
			t.Error(i, err)
		}
	}
	if !slices.Equal(sent, []uint64{0, 1, 2, 3}) {
		t.Error(sent)
	}
}

// waiter counts its calls to Waits.
type waiter struct{ waits, done int }

func (w *waiter) Waits() func() {
	w.waits++
	return func() { w.done++ }
}

func TestProducer_KeepsToTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &waiter{}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), clientcall.WaiterKey{}, w))
		p := clientcall.Producer{Window: 2}
		var sent uint64
		end := make(chan error)
		go func() {
			var err error
			for err == nil {
				err = p.Send(ctx, func(seq uint64) error { sent = seq + 1; return nil })
			}
			end <- err
		}()
		for i, row := range []struct{ ack, sent uint64 }{
			{0, 2}, // the window is full
			{1, 3},
			{1, 3}, // the same again
			{9, 3}, // what was not sent
			{3, 5}, // two at once
			{2, 5}, // an old one
		} {
			p.Ack(row.ack)
			synctest.Wait()
			if sent != row.sent {
				t.Errorf("row %d: %d sent, want %d", i, sent, row.sent)
			}
		}
		cancel()
		if err := <-end; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if w.waits != 3 || w.done != w.waits {
			t.Errorf("it said %d times that it waits, and %d times that it no longer does", w.waits,
				w.done)
		}
	})
}

// Nothing follows Settle once the context has ended.
func TestProducer_Settle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var p clientcall.Producer
		release, order := make(chan struct{}), make(chan string, 3)
		go func() {
			_ = p.Send(ctx, func(uint64) error {
				<-release
				order <- "sent"
				return nil
			})
		}()
		synctest.Wait()
		cancel()
		settled := make(chan struct{})
		go func() {
			p.Settle()
			order <- "settled"
			close(settled)
		}()
		close(release)
		<-settled
		if err := p.Send(ctx, func(uint64) error { order <- "late"; return nil }); !errors.Is(err,
			context.Canceled) {
			t.Error(err)
		}
		close(order)
		var got []string
		for s := range order {
			got = append(got, s)
		}
		if !slices.Equal(got, []string{"sent", "settled"}) {
			t.Error(got)
		}
	})
}

func TestWaits_WithoutWaiter(t *testing.T) { clientcall.Waits(t.Context())() }
