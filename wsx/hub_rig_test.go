package wsx_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// hubRig is a hub behind a server, in memory. Its tests run in a synctest bubble, so that they see
// when everything has settled.
type hubRig struct {
	t      *testing.T
	hub    *wsx.Hub
	server *wsx.Server
	client *http.Client
}

// inRig runs a test in a bubble, with a hub of these channels.
func inRig(t *testing.T, channels map[string]wsx.ChannelOptions, opts *wsx.ServerOptions,
	test func(*testing.T, *hubRig),
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newRig(t, nil, channels, opts)) })
}

func newRig(t *testing.T, shared broker.Broker, channels map[string]wsx.ChannelOptions,
	opts *wsx.ServerOptions,
) *hubRig {
	t.Helper()
	var o wsx.ServerOptions
	if opts != nil {
		o = *opts
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	// tests of queues have events of any size
	hub := wsx.NewHub(&wsx.HubOptions{Broker: shared, Logger: o.Logger, MaxEvent: -1})
	for pattern, c := range channels {
		hub.Configure(pattern, &c)
	}
	o.Hub = hub
	t.Cleanup(func() {
		if err := hub.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	server, client := serve(t, callDispatcher(), &o)
	return &hubRig{t, hub, server, client}
}

// publish publishes and returns the position.
func (r *hubRig) publish(channel string, payload any) broker.Position {
	r.t.Helper()
	p, err := r.hub.Publish(r.t.Context(), channel, payload)
	if err != nil {
		r.t.Error(err)
	}
	return p
}

// tap is a socket that reads all the time.
type tap struct {
	*socket
	mu  sync.Mutex
	got []string
	err error
}

func (r *hubRig) tap() *tap {
	r.t.Helper()
	s := &tap{socket: dialSocket(r.t, r.client, "ws://wsx.test/")}
	go func() {
		for {
			_, b, err := s.c.Read(context.Background())
			s.mu.Lock()
			if err != nil {
				s.err = err
				s.mu.Unlock()
				return
			}
			s.got = append(s.got, string(b))
			s.mu.Unlock()
		}
	}()
	return s
}

var epochs = regexp.MustCompile(`"epoch":"[A-Z2-7]{10}-([0-9a-z]+)"`)

// all returns what has come since the last time, once everything has settled, with epochs as E1, E2
// …
func (s *tap) all() []string {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.got
	s.got = nil
	for i := range got {
		got[i] = epochs.ReplaceAllString(got[i], `"epoch":"E$1"`)
	}
	return got
}

// ended is the error that the connection ended with, nil while it is up.
func (s *tap) ended() error {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// wants sends messages and expects just these, in that order, once everything has settled.
func (s *tap) wants(want ...string) {
	s.t.Helper()
	if got := s.all(); !slices.Equal(got, want) {
		s.t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func subscribeTo(id, channel, more string) string {
	return `{"type":"rpc.subscribe","id":` + id + `,"channel":"` + channel + `"` + more + `}`
}

func subscribedTo(id, channel, sub, more string) string {
	return response(id,
		`{"status":"subscribed","channel":"`+channel+`","subscription":"`+sub+`"`+more+`}`)
}

func unsubscribed(id string) string { return response(id, `{"status":"unsubscribed"}`) }

// event is an rpc.event; meta comes after the sub_id.
func event(channel, payload, sub, meta string) string {
	return `{"type":"rpc.event","channel":"` + channel + `","payload":` + payload +
		`,"meta":{"sub_id":"` + sub + `"` + meta + `}}`
}

// at is the position in an event's meta.
func at(epoch string, offset int) string {
	return fmt.Sprintf(`,"epoch":"%s","offset":%d`, epoch, offset)
}

func serverNotify(event, payload string) string {
	return `{"type":"rpc.notify","event":"` + event + `","payload":` + payload + `}`
}
