package wsx_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// picture is what a client knows of a channel's members that takes what comes as it comes.
type picture struct {
	t       *testing.T
	seq     uint64
	members map[string]bool
	answers int
}

func (p *picture) take(message string) {
	p.t.Helper()
	var m struct {
		Event   string `json:"event"`
		Payload struct {
			Member broker.Member `json:"member"`
			Seq    uint64        `json:"seq"`
		} `json:"payload"`
		Result struct {
			Members []broker.Member `json:"members"`
			Seq     uint64          `json:"seq"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(message), &m); err != nil {
		p.t.Error(err)
	}
	switch {
	case m.Result.Seq > 0:
		if p.answers++; m.Result.Seq < p.seq {
			p.t.Errorf("a picture of %d behind the change %d", m.Result.Seq, p.seq)
		}
		p.seq, p.members = m.Result.Seq, make(map[string]bool)
		for _, member := range m.Result.Members {
			p.members[member.Conn] = true
		}
	case m.Payload.Seq == 0: // another message
	case p.answers > 0 && m.Payload.Seq != p.seq+1:
		p.t.Errorf("the change %d behind %d", m.Payload.Seq, p.seq)
	default:
		p.seq = m.Payload.Seq
		if m.Event == "wsx.leave" {
			delete(p.members, m.Payload.Member.Conn)
		} else if p.members != nil {
			p.members[m.Payload.Member.Conn] = true
		}
	}
}

// TestHub_PresenceAndItsChangesAreOneSequence: whenever the members are asked for while many come
// and go, who takes the answer and what comes behind it one by one knows who is there.
func TestHub_PresenceAndItsChangesAreOneSequence(t *testing.T) {
	hub := wsx.NewHub(nil)
	hub.Configure("room", &wsx.ChannelOptions{Presence: true})
	_, url := newTestServer(t, &wsx.ServerOptions{Hub: hub})
	watcher := dialSocket(t, nil, url)
	watcher.send(subscribeTo("1", "room", ""))
	watcher.read()
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			s := dialSocket(t, nil, url)
			for n := range 301 { // it is there in the end
				message, answer := subscribeTo("1", "room", ""), `"subscribed"`
				if n%2 == 1 {
					message, answer = `{"type":"rpc.unsubscribe","id":1,"channel":"room"}`,
						`"unsubscribed"`
				}
				s.send(message)
				for !strings.Contains(s.read(), answer) {
					continue
				}
			}
		})
	}
	p := &picture{t: t}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for asked, quiet := 0, false; !quiet; asked++ {
		select {
		case <-done:
			quiet = true
		default:
		}
		n := p.answers + 1
		watcher.send(request(fmt.Sprint(asked), "wsx.presence", `{"channel":"room"}`))
		if asked%2 == 0 { // side by side
			watcher.send(request(`"x"`, "wsx.presence", `{"channel":"room"}`))
			n++
		}
		for p.answers < n {
			p.take(watcher.read())
		}
	}
	for len(p.members) != 7 { // the last may be told behind the answers
		p.take(watcher.read())
	}
	if err := hub.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// far is a broker whose Members returns what it has read when it is let to, and whose hubs hear of
// changes when they are let to.
type far struct {
	*broker.Memory
	read  chan struct{} // nil: at once
	mu    sync.Mutex
	held  bool
	heard []func()
}

type farReceiver struct {
	broker.Receiver
	far *far
}

func (r farReceiver) Presence(p broker.Presence) {
	r.far.mu.Lock()
	defer r.far.mu.Unlock()
	if r.far.held {
		r.far.heard = append(r.far.heard, func() { r.Receiver.Presence(p) })
		return
	}
	r.Receiver.Presence(p)
}

func (f *far) hold() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = true
}

func (f *far) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = false
	for _, tell := range f.heard {
		tell()
	}
	f.heard = nil
}

func (f *far) Attach(r broker.Receiver) (func() error, error) {
	return f.Memory.Attach(farReceiver{r, f})
}

func (f *far) Interest(ctx context.Context, r broker.Receiver, name string, on bool) error {
	return f.Memory.Interest(ctx, farReceiver{r, f}, name, on)
}

func (f *far) Join(ctx context.Context, r broker.Receiver, channel string, m broker.Member) error {
	return f.Memory.Join(ctx, farReceiver{r, f}, channel, m)
}

func (f *far) Leave(ctx context.Context, r broker.Receiver, channel string, m broker.Member) error {
	return f.Memory.Leave(ctx, farReceiver{r, f}, channel, m)
}

func (f *far) Members(ctx context.Context, channel string) ([]broker.Member, error) {
	all, err := f.Memory.Members(ctx, channel)
	if f.read != nil {
		<-f.read
	}
	return all, err
}

func TestHub_PresenceOfAFarBroker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := &far{Memory: broker.NewMemory()}
		r := newRig(t, shared, map[string]wsx.ChannelOptions{"room": {Presence: true}}, nil)
		watcher, a, b := r.tap(), r.tap(), r.tap()
		on := func(s *tap) { s.send(subscribeTo("1", "room", "")); synctest.Wait() }
		off := func(s *tap) {
			s.send(`{"type":"rpc.unsubscribe","id":2,"channel":"room"}`)
			synctest.Wait()
		}
		ask := func() {
			watcher.send(request("7", "wsx.presence", `{"channel":"room"}`))
			synctest.Wait()
		}
		p := &picture{t: t}
		check := func(when string, members int) {
			t.Helper()
			for _, m := range watcher.all() {
				p.take(m)
			}
			if len(p.members) != members {
				t.Errorf("%s: %v", when, slices.Collect(maps.Keys(p.members)))
			}
		}
		on(watcher)
		on(a)
		ask()
		check("at once", 2)

		shared.read = make(chan struct{}) // what was read is old when it arrives
		ask()
		off(a)
		on(b)
		close(shared.read)
		shared.read = nil
		check("read before one left and one came", 2)
		ask()
		check("asked again", 2)

		shared.hold() // what is heard is older than what was read
		off(b)
		on(b)
		on(a)
		off(b)
		ask()
		check("read before it was told", 2)
		shared.release()
		check("told of what was read before", 2)
		off(a)
		check("the next change", 1)
	})
}
