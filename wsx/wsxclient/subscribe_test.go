package wsxclient_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

// cutter is a listener whose connections can be cut.
type cutter struct {
	net.Listener
	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

func (c *cutter) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.mu.Lock()
		c.conns[conn] = struct{}{}
		c.mu.Unlock()
	}
	return conn, err
}

func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		_ = conn.Close()
	}
	clear(c.conns)
}

func hubServer(t testing.TB, channels map[string]wsx.ChannelOptions) (*wsx.Hub, *cutter, string) {
	t.Helper()
	hub := wsx.NewHub(nil)
	for pattern, opts := range channels {
		hub.Configure(pattern, &opts)
	}
	s := wsx.NewServer(wsx.NewDispatcher(), &wsx.ServerOptions{Hub: hub})
	srv := httptest.NewUnstartedServer(s)
	ln := &cutter{Listener: srv.Listener, conns: make(map[net.Conn]struct{})}
	srv.Listener = ln
	srv.Start()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(s.Stop(ctx), hub.Stop(ctx)); err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	return hub, ln, srv.URL
}

// messages is how many TestSubscribe_LosesNothing publishes: WSX_RECOVERY=1000000 is the full run.
func messages(t testing.TB) int {
	n := 20_000
	if s := os.Getenv("WSX_RECOVERY"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestSubscribe_LosesNothingAcrossReconnects(t *testing.T) {
	const window = 4000 // how far the publisher may be ahead: within the history
	hub, ln, url := hubServer(t, map[string]wsx.ChannelOptions{"room.>": {History: 2 * window}})
	c, err := wsxclient.Dial(t.Context(), url,
		&wsxclient.Options{
			Reconnect: true, RetryMin: time.Millisecond,
			RetryMax: 5 * time.Millisecond,
		})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	n := messages(t)
	room := make(chan struct{}, window)
	var wg sync.WaitGroup
	defer wg.Wait()
	begun := make(chan struct{})
	wg.Go(func() {
		<-begun
		for i := range n {
			select {
			case room <- struct{}{}:
			case <-t.Context().Done():
				return
			}
			if _, err := hub.Publish(t.Context(), "room.a", i); err != nil {
				t.Error(err)
				return
			}
			if i%1000 == rand.N(1000) || i%1000 == 999 {
				ln.cut()
			}
		}
	})
	if _, err := hub.Publish(t.Context(), "room.a", -1); err != nil {
		t.Fatal(err)
	}
	next, missed := 0, 0
	first := broker.Position{Epoch: position(t, hub, "room.a").Epoch, Offset: 0}
	for event, err := range wsxclient.Subscribe[int](t.Context(), c, "room.a",
		&wsxclient.SubscribeOptions{Recover: first}) {
		if errors.Is(err, wsxclient.ErrMissed) {
			missed++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if event.Payload < 0 {
			if event.Position.Offset == 1 {
				close(begun)
			}
			continue
		}
		if event.Payload != next {
			t.Fatalf("got %d, want %d (missed %d)", event.Payload, next, missed)
		}
		<-room
		if next++; next == n {
			break
		}
	}
	if missed > 0 {
		t.Errorf("%d times events were missed, with a history that holds them all", missed)
	}
}

// position is a channel's newest, found by publishing to it.
func position(t testing.TB, hub *wsx.Hub, channel string) broker.Position {
	t.Helper()
	p, err := hub.Publish(t.Context(), channel, -2)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSubscribe_SaysWhenItHasBegun(t *testing.T) {
	hub, ln, url := hubServer(t,
		map[string]wsx.ChannelOptions{"room.>": {History: 10}, "plain": {}})
	for channel, kept := range map[string]bool{"room.a": true, "plain": false} {
		c, err := wsxclient.Dial(t.Context(), url,
			&wsxclient.Options{Reconnect: true, RetryMin: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		var begun []bool
		publish := func(n int) {
			if _, err := hub.Publish(t.Context(), channel, n); err != nil {
				t.Error(err)
			}
		}
		var got []int
		for event, err := range wsxclient.Subscribe[int](t.Context(), c, channel,
			&wsxclient.SubscribeOptions{OnSubscribed: func(recovered bool) {
				publish(10 * len(begun)) // it comes: the subscription has begun
				begun = append(begun, recovered)
			}}) {
			if errors.Is(err, wsxclient.ErrMissed) && !kept {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			if got = append(got, event.Payload); event.Payload == 10 {
				break
			}
			ln.cut()
		}
		if !slices.Equal(begun, []bool{false, kept}) || !slices.Equal(got, []int{0, 10}) {
			t.Errorf("%s: begun, recovered %v, with %v", channel, begun, got)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestSubscribe_TellsWhatCannotBeRecovered(t *testing.T) {
	hub, ln, url := hubServer(t,
		map[string]wsx.ChannelOptions{"plain.>": {}, "short.>": {History: 1}})
	for pattern, channel := range map[string]string{
		"plain.a": "plain.a", "plain.*": "plain.b",
		"short.a": "short.a",
	} {
		t.Run(pattern, func(t *testing.T) {
			states := make(chan wsxclient.State, 16)
			c, err := wsxclient.Dial(t.Context(), url, &wsxclient.Options{
				Reconnect: true, RetryMin: time.Millisecond,
				OnState: func(s wsxclient.State, _ error) { states <- s },
			})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			if s := <-states; s != wsxclient.Connected {
				t.Error(s)
			}
			got := make(chan string)
			ctx, cancel := context.WithCancel(t.Context())
			var loop sync.WaitGroup
			loop.Go(func() {
				defer close(got)
				for event, err := range wsxclient.Subscribe[string](ctx, c, pattern, nil) {
					text := event.Payload
					if err != nil {
						text = err.Error()
					}
					got <- text
				}
			})
			untilReceived(t, hub, channel, "one", got)
			ln.cut()
			if s := <-states; s != wsxclient.Reconnecting {
				t.Error(s)
			}
			for range 2 { // more than a history of one holds
				if _, err := hub.Publish(t.Context(), channel, "missed"); err != nil {
					t.Fatal(err)
				}
			}
			if s := <-states; s != wsxclient.Connected {
				t.Error(s)
			}
			if text := <-got; text != wsxclient.ErrMissed.Error() && text != "missed" {
				t.Errorf("got %q after the gap", text)
			}
			untilReceived(t, hub, channel, "two", got)
			cancel()
			if text := <-got; text != context.Canceled.Error() {
				t.Errorf("got %q at the end", text)
			}
			loop.Wait()
		})
	}
}

// untilReceived publishes until the subscriber, who may not have begun yet, gets it, and takes in
// what was published for nothing.
func untilReceived(t *testing.T, hub *wsx.Hub, channel, text string, got <-chan string) {
	t.Helper()
	for {
		if _, err := hub.Publish(t.Context(), channel, text); err != nil {
			t.Fatal(err)
		}
		select {
		case s := <-got:
			if s != text {
				continue
			}
		case <-time.After(10 * time.Millisecond):
			continue
		}
		break
	}
	if _, err := hub.Publish(t.Context(), channel, "end of "+text); err != nil {
		t.Fatal(err)
	}
	for s := range got {
		if s == "end of "+text {
			return
		}
	}
}
