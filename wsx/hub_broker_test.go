package wsx_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// failingBroker fails where it is told to.
type failingBroker struct {
	*broker.Memory
	attach, interest, since, join error
}

func (b *failingBroker) Attach(r broker.Receiver) (func() error, error) {
	if b.attach != nil {
		return nil, b.attach
	}
	return b.Memory.Attach(r)
}

func (b *failingBroker) Interest(ctx context.Context, r broker.Receiver, name string,
	on bool,
) error {
	return errors.Join(b.interest, b.Memory.Interest(ctx, r, name, on && b.interest == nil))
}

func (b *failingBroker) Since(ctx context.Context, channel string, since broker.Position,
	h broker.History,
) (broker.Replay, error) {
	r, err := b.Memory.Since(ctx, channel, since, h)
	return r, errors.Join(b.since, err)
}

func (b *failingBroker) Join(ctx context.Context, r broker.Receiver, channel string,
	m broker.Member,
) error {
	return errors.Join(b.join, b.Memory.Join(ctx, r, channel, m))
}

// hangingBroker does nothing, for as long as it may, where a connection's end waits for it.
type hangingBroker struct{ *broker.Memory }

func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (b hangingBroker) Interest(ctx context.Context, r broker.Receiver, name string,
	on bool,
) error {
	if !on {
		return hang(ctx)
	}
	return b.Memory.Interest(ctx, r, name, on)
}

func (hangingBroker) Join(ctx context.Context, _ broker.Receiver, _ string, _ broker.Member) error {
	return hang(ctx)
}

func (hangingBroker) Leave(ctx context.Context, _ broker.Receiver, _ string,
	_ broker.Member,
) error {
	return hang(ctx)
}

func TestHub_ABrokerThatHangsKeepsNobodyForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hangingBroker{broker.NewMemory()},
			map[string]wsx.ChannelOptions{"a": {Presence: true}}, nil)
		s := dialSocket(t, r.client, "ws://wsx.test/")
		begin := time.Now()
		s.send(subscribeTo("1", "a", ""))
		if m := s.read(); !strings.Contains(m, `"id":1`) || strings.Contains(m, "error") {
			t.Error(m)
		}
		_ = s.c.CloseNow()
		if err := r.server.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 31*time.Second {
			t.Errorf("a subscription and its end took %v, want three times 10 s at most", took)
		}
	})
}

func TestHub_AFailingBrokerRefusesSubscriptionsForTheTimeBeing(t *testing.T) {
	for name, fail := range map[string]func(*failingBroker, error){
		"attach":   func(b *failingBroker, err error) { b.attach = err },
		"interest": func(b *failingBroker, err error) { b.interest = err },
		"since":    func(b *failingBroker, err error) { b.since = err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &failingBroker{Memory: broker.NewMemory()}
				r := newRig(t, b, map[string]wsx.ChannelOptions{"a": {History: 1}},
					&wsx.ServerOptions{MaxSubscriptions: 1})
				c := r.tap()
				fail(b, errors.New("canary-7f3a"))
				for range 3 {
					c.send(subscribeTo("1", "a", ""))
					c.wants(fault("1", "UNAVAILABLE", "unavailable"))
				}
				fail(b, nil)
				c.send(subscribeTo("1", "a", ""))
				if got := c.all(); len(got) != 1 || !strings.Contains(got[0], `"subscribed"`) {
					t.Error(got)
				}
				r.publish("a", 1)
				if got := c.all(); len(got) != 1 || !strings.Contains(got[0], `"offset":1`) {
					t.Error(got)
				}
				fail(b, errors.New("canary-7f3a")) // the end of an interest that fails is logged
				_ = c.c.CloseNow()
				synctest.Wait()
				fail(b, nil)
			})
		})
	}
}

func TestHub_LogsPresenceThatWasNotAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		b := &failingBroker{Memory: broker.NewMemory(), join: errors.New("canary-7f3a")}
		r := newRig(t, b, map[string]wsx.ChannelOptions{"a": {Presence: true}},
			&wsx.ServerOptions{Logger: log.logger()})
		c := r.tap()
		c.send(subscribeTo("1", "a", ""))
		c.wants(subscribedTo("1", "a", "1", ""))
		if !strings.Contains(log.String(), "presence not announced") {
			t.Error(log.String())
		}
	})
}
