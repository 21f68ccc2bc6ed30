package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// silent is a broker that does not answer for what holds names, until that is closed.
type silent struct {
	*broker.Memory
	holds map[string]chan struct{} // by method and channel
	calls sync.Map                 // under way
}

func (b *silent) wait(ctx context.Context, what string) error {
	if _, also := b.calls.LoadOrStore(what, true); also {
		return errors.New("called twice at a time")
	}
	defer b.calls.Delete(what)
	select {
	case <-b.holds[what]:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (b *silent) Attach(r broker.Receiver) (func() error, error) {
	if hold := b.holds["attach"]; hold != nil {
		<-hold
	}
	return b.Memory.Attach(r)
}

func (b *silent) Interest(ctx context.Context, r broker.Receiver, name string, on bool) error {
	if hold := b.holds["interest "+name]; hold != nil {
		if err := b.wait(ctx, "interest "+name); err != nil {
			return err
		}
	}
	return b.Memory.Interest(ctx, r, name, on)
}

func (b *silent) Join(ctx context.Context, r broker.Receiver, channel string,
	m broker.Member,
) error {
	if hold := b.holds["join "+channel]; hold != nil {
		if err := b.wait(ctx, "join "+channel); err != nil {
			return err
		}
	}
	return b.Memory.Join(ctx, r, channel, m)
}

// TestHub_ABrokerThatDoesNotAnswerHoldsUpOneName and nobody for longer than they would wait.
func TestHub_ABrokerThatDoesNotAnswerHoldsUpOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		b := &silent{
			Memory: broker.NewMemory(),
			holds:  map[string]chan struct{}{"interest stuck": hold, "join room": hold},
		}
		r := newRig(t, b, map[string]wsx.ChannelOptions{">": {}, "room": {Presence: true}}, nil)
		first, others := r.tap(), r.tap()
		first.send(subscribeTo("1", "stuck", ""))
		synctest.Wait()
		for i := range 200 {
			name := fmt.Sprintf("free.%d", i)
			others.send(subscribeTo("1", name, ""))
			if got := others.all(); len(got) != 1 || !strings.Contains(got[0], `"subscribed"`) {
				t.Fatal(got)
			}
			r.publish(name, 1)
			if got := others.all(); len(got) != 1 {
				t.Fatal(got)
			}
		}
		// its Join does not answer, its other requests do
		others.send(subscribeTo("1", "room", ""), request("2", "add", `{"a":1,"b":2}`))
		if got := others.all(); len(got) != 1 || !strings.Contains(got[0], "3") {
			t.Error(got)
		}
		for range listening(r, t, "stuck", 50*time.Millisecond) {
			// it waits for the first's Interest, and its context ends
			t.Error("listens")
		}
		first.wants()
		close(hold)
		if got := first.all(); len(got) != 1 || !strings.Contains(got[0], `"subscribed"`) {
			t.Error(got)
		}
		if got := others.all(); len(got) != 1 || !strings.Contains(got[0], `"subscribed"`) {
			t.Error(got)
		}
		r.publish("stuck", 1)
		first.wants(event("stuck", "1", "1", ""))
	})
}

// listening listens to a channel until a time-out, and yields what comes but that.
func listening(r *hubRig, t *testing.T, channel string,
	timeout time.Duration,
) func(func(broker.Event) bool) {
	return func(yield func(broker.Event) bool) {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		for e, err := range r.hub.Listen(ctx, channel, broker.Position{}) {
			if err != nil {
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
				return
			}
			if !yield(e) {
				return
			}
		}
	}
}

func TestHub_PublishingWaitsForTheBrokerNoLongerThanItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hold := make(chan struct{})
		hub := wsx.NewHub(
			&wsx.HubOptions{
				Broker: &silent{
					Memory: broker.NewMemory(),
					holds:  map[string]chan struct{}{"attach": hold},
				},
			})
		hub.Configure("a", nil)
		started := make(chan error)
		go func() { started <- hub.Start(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := hub.Publish(ctx, "a", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := hub.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(hold)
		if err := <-started; !errors.Is(err, wsx.NewError(wsx.CodeUnavailable, "")) {
			t.Errorf("started after Stop: %v", err)
		}
		if err := hub.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// busy is a hub that keeps who delivers to it waiting.
type busy struct{ begun, hold chan struct{} }

func (b *busy) Event(broker.Event)       { b.begun <- struct{}{}; <-b.hold }
func (b *busy) Presence(broker.Presence) {}

// TestMemory_AHubThatIsBusyHoldsUpItsPublishersAlone: the channel's history and members can
// be read meanwhile.
func TestMemory_AHubThatIsBusyHoldsUpItsPublishersAlone(t *testing.T) {
	b, r := broker.NewMemory(), &busy{make(chan struct{}), make(chan struct{})}
	detach, err := b.Attach(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Interest(t.Context(), r, "a", true); err != nil {
		t.Fatal(err)
	}
	kept := broker.History{Size: 10}
	published := make(chan error)
	go func() {
		_, err := b.Publish(t.Context(), broker.Event{Channel: "a", Payload: []byte("1")}, kept)
		published <- err
	}()
	<-r.begun
	if since, err := b.Since(t.Context(), "a", broker.Position{}, kept); err != nil ||
		since.Newest.Offset != 1 {
		t.Error(since, err)
	}
	if _, err := b.Members(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	other := broker.Event{Channel: "b", Payload: []byte("1")}
	if _, err := b.Publish(t.Context(), other, kept); err != nil {
		t.Error(err)
	}
	close(r.hold)
	if err := errors.Join(<-published, detach()); err != nil {
		t.Error(err)
	}
}
