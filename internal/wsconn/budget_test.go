package wsconn_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

func TestBudget_CountsWhatWaitsForItsPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &wsconn.Budget{Limit: 300 << 10}
		opts := &wsconn.Options{Budget: b, WriteTimeout: time.Hour, KeepaliveAfter: -1}
		c, p := pipe(t, opts)
		now, cancel := context.WithCancel(t.Context())
		cancel()
		large := []byte(noise(100 << 10))
		for range 3 {
			if err := c.Send(now, text, large); err != nil {
				t.Fatal(err)
			}
		}
		if n := b.Used(); n < 300<<10 || n > 301<<10 || !b.Full() {
			t.Errorf("%d bytes", n)
		}
		if err := c.Send(now, text, large); !errors.Is(err, context.Canceled) ||
			c.HasRoom(len(large)) {
			t.Errorf("there is room over the budget: %v", err)
		}
		if err := c.SendFrame(wsconn.NewFrame(text, large)); err != nil {
			// all have it, whoever waits for it
			t.Error(err)
		}
		other, q := pipe(t, opts)
		for range 64 { // each connection may have some
			if err := other.Send(now, text, large[:900]); err != nil {
				t.Fatal(err)
			}
		}
		if err := other.Send(now, text, large[:9000]); !errors.Is(err, context.Canceled) {
			t.Errorf("over the lean bound: %v", err)
		}
		freed := b.Freed()
		for range 4 {
			if _, err := p.next(); err != nil {
				t.Fatal(err)
			}
		}
		<-freed
		if b.Full() {
			t.Error("still full")
		}
		_ = p.Close()
		_ = q.Close()
		_ = c.CloseNow()
		_ = other.CloseNow()
		if n := b.Used(); n != 0 {
			t.Errorf("%d bytes of connections that have ended", n)
		}
	})
}
