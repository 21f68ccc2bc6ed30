package wsx_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// model is what a hub should do, said simply: a channel is the list of all that was published to
// it, and a subscription has a list of what it should have got.
type model struct {
	t        *testing.T
	r        *rand.Rand
	rig      *hubRig
	channels map[string]*modelChannel
	clients  []*modelClient
}

type modelChannel struct {
	history int
	epoch   string
	events  int // payloads are 1, 2, 3 …, as the offsets
}

type modelClient struct {
	tap    *tap
	subs   map[string]*modelSub // by id
	seen   map[string]int       // the last offset of each channel, kept across connections
	nextID int
}

type modelSub struct {
	name string
	want []string // channel=payload
	got  []string
}

func (m *model) run(steps int) {
	for range 3 {
		m.clients = append(m.clients,
			&modelClient{tap: m.rig.tap(), subs: map[string]*modelSub{}, seen: map[string]int{}})
	}
	names := []string{"small.a", "big.a", "plain.a", "small.*", "big.>", "plain.>"}
	for range steps {
		c := m.clients[m.r.IntN(len(m.clients))]
		name := names[m.r.IntN(len(names))]
		switch n := m.r.IntN(20); {
		case n < 10:
			for range 1 + m.r.IntN(6) {
				m.publish(names[m.r.IntN(3)])
			}
		case n < 12:
			m.subscribe(c, name, -1)
		case n < 15:
			m.subscribe(c, name, c.seen[name])
		case n < 16:
			m.subscribe(c, name, m.r.IntN(m.events(name)+3))
		case n < 18:
			m.unsubscribe(c, name)
		case n < 19:
			_ = c.tap.c.CloseNow()
			synctest.Wait()
			c.tap, c.subs = m.rig.tap(), map[string]*modelSub{}
		default:
			continue // several steps without settling
		}
		for _, c := range m.clients {
			m.settle(c)
		}
		if m.t.Failed() {
			return
		}
	}
}

func (m *model) events(name string) int {
	if c := m.channels[name]; c != nil {
		return c.events
	}
	return 0
}

func (m *model) publish(channel string) {
	c := m.channels[channel]
	c.events++
	if p := m.rig.publish(channel, c.events); c.history > 0 {
		if c.epoch == "" {
			c.epoch = p.Epoch
		}
		if p != (broker.Position{Epoch: c.epoch, Offset: uint64(c.events)}) {
			m.t.Errorf("published %d at %v", c.events, p)
		}
	}
	for _, client := range m.clients {
		for _, s := range client.subs {
			if s.name == channel ||
				strings.TrimRight(s.name, "*>") == strings.TrimSuffix(channel, "a") {
				s.want = append(s.want, channel+"="+strconv.Itoa(c.events))
			}
		}
	}
}

// subscribe asks to recover from an offset unless that is negative, and checks the answer.
func (m *model) subscribe(c *modelClient, name string, from int) {
	m.settle(c)
	c.nextID++
	channel := m.channels[name]
	ask := ""
	if from >= 0 {
		epoch := "none"
		if channel != nil && channel.epoch != "" {
			epoch = channel.epoch
		}
		ask = fmt.Sprintf(`,"recover":{"epoch":"%s","offset":%d}`, epoch, from)
	}
	c.tap.send(subscribeTo(strconv.Itoa(c.nextID), name, ask))
	got := c.tap.all()
	if len(got) == 0 ||
		!strings.HasPrefix(got[0], `{"type":"rpc.response","id":`+strconv.Itoa(c.nextID)) {
		m.t.Errorf("answered %v", got)
		return
	}
	_, id, _ := strings.Cut(got[0], `"subscription":"`)
	id, _, _ = strings.Cut(id, `"`)
	if c.subs[id] != nil {
		m.t.Errorf("subscription %s twice", id)
	}
	s := &modelSub{name: name}
	c.subs[id] = s
	recovered := false
	if channel != nil && channel.history > 0 {
		if !strings.Contains(got[0], fmt.Sprintf(`"offset":%d`, channel.events)) {
			m.t.Errorf("not at %d: %s", channel.events, got[0])
		}
		recovered = channel.epoch != "" && from >= max(0, channel.events-channel.history) &&
			from <= channel.events
	}
	if from >= 0 && !strings.Contains(got[0], fmt.Sprintf(`"recovered":%v`, recovered)) ||
		from < 0 && strings.Contains(got[0], "recovered") {
		m.t.Errorf("recover %d of %+v: %s", from, channel, got[0])
	}
	if recovered {
		for i := from + 1; i <= channel.events; i++ {
			s.want = append(s.want, name+"="+strconv.Itoa(i))
		}
	}
	m.take(c, got[1:])
}

func (m *model) unsubscribe(c *modelClient, name string) {
	m.settle(c)
	c.tap.send(`{"type":"rpc.unsubscribe","id":0,"channel":"` + name + `"}`)
	want, had := fault("0", "NOT_FOUND", "not found"), false
	for id, s := range c.subs {
		if s.name == name {
			delete(c.subs, id)
			had = true
		}
	}
	if had {
		want = unsubscribed("0")
	}
	c.tap.wants(want)
}

// take sorts events to their subscriptions.
func (m *model) take(c *modelClient, messages []string) {
	for _, msg := range messages {
		var channel, id string
		var payload, offset int
		msg = strings.NewReplacer(`"`, " ", ",", " ").Replace(msg)
		if _, err := fmt.Sscanf(msg,
			`{ type : rpc.event   channel : %s   payload :%d  meta :{ sub_id : %s `, &channel,
			&payload, &id); err != nil {
			m.t.Errorf("%v: %s", err, msg)
			continue
		}
		s := c.subs[id]
		if s == nil {
			m.t.Errorf("of no subscription: %s", msg)
			continue
		}
		s.got = append(s.got, channel+"="+strconv.Itoa(payload))
		positioned := m.channels[channel].history > 0 && s.name == channel
		if _, at, ok := strings.Cut(msg, " offset :"); ok != positioned {
			m.t.Errorf("position: %s", msg)
		} else if ok {
			if _, err := fmt.Sscanf(at, "%d", &offset); err != nil || offset != payload {
				m.t.Errorf("offset of %d: %s", payload, msg)
			}
			c.seen[channel] = max(c.seen[channel], offset)
		}
	}
}

// settle compares what has come with the model.
func (m *model) settle(c *modelClient) {
	m.take(c, c.tap.all())
	for id, s := range c.subs {
		if !slices.Equal(s.got, s.want) {
			m.t.Errorf("subscription %s to %s has %v, want %v", id, s.name, s.got, s.want)
		}
		s.got, s.want = nil, nil
	}
}

func TestHub_DoesAsTheModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			inRig(t,
				map[string]wsx.ChannelOptions{
					"small.>": {History: 4}, "big.>": {History: 1000},
					"plain.>": {},
				}, nil, func(t *testing.T, r *hubRig) {
					m := &model{t: t, r: rand.New(rand.NewPCG(seed, 7)), rig: r}
					m.channels = map[string]*modelChannel{
						"small.a": {history: 4},
						"big.a":   {history: 1000}, "plain.a": {},
					}
					m.run(150)
				})
		})
	}
}

// TestHub_RecoversUnderLoad: connections come and go while others publish. Nobody misses an event
// unless told so, and nobody gets one twice.
func TestHub_RecoversUnderLoad(t *testing.T) {
	const events, clients = 1500, 4
	for name, opts := range map[string]wsx.ChannelOptions{
		"all is kept":     {History: events},
		"little is kept":  {History: 40},
		"slow, but whole": {History: events, Slow: wsx.SlowDropOldest},
	} {
		t.Run(name, func(t *testing.T) {
			hub := wsx.NewHub(nil)
			hub.Configure("a.*", &opts)
			_, url := newTestServer(t, &wsx.ServerOptions{Hub: hub})
			var wg sync.WaitGroup
			tokens := make(chan struct{}, 64)
			for p := range 2 {
				wg.Go(func() {
					for range events {
						<-tokens
						if _, err := hub.Publish(t.Context(), "a."+strconv.Itoa(p),
							strings.Repeat("x", 50)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			stop := make(chan struct{})
			var pace sync.WaitGroup
			pace.Go(func() {
				for {
					select {
					case tokens <- struct{}{}:
					case <-stop:
						return
					}
				}
			})
			var told sync.Map
			for i := range clients {
				wg.Go(func() { follow(t, url, "a."+strconv.Itoa(i%2), i, events, &told) })
			}
			wg.Wait()
			close(stop)
			pace.Wait()
			if n := count(&told); n > 0 && opts.History == events {
				t.Errorf("%d times not recovered", n)
			}
			if err := hub.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func count(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

// follow reads a channel to its end over many connections.
func follow(t *testing.T, url, channel string, seed, end int, told *sync.Map) {
	r := rand.New(rand.NewPCG(uint64(seed), 11))
	epoch, last := "", uint64(0)
	for last < uint64(end) && !t.Failed() {
		c, _, err := websocket.Dial(t.Context(), url, nil)
		if err != nil {
			t.Error(err)
			return
		}
		s := &socket{t, c}
		ask := ""
		if epoch != "" {
			ask = fmt.Sprintf(`,"recover":{"epoch":"%s","offset":%d}`, epoch, last)
		}
		s.send(subscribeTo("1", channel, ask))
		answer := s.read()
		e, newest, _ := positionOf(t, answer)
		if !strings.Contains(answer, `"recovered":true`) {
			if epoch != "" {
				told.Store(answer, true)
			}
			last = newest
		}
		if epoch == "" {
			epoch = e
		}
		if e != epoch {
			t.Errorf("epoch %s after %s", e, epoch)
		}
		for n := r.IntN(400); n > 0 && last < uint64(end); n-- {
			_, b, err := s.c.Read(t.Context())
			if websocket.CloseStatus(err) == 4430 {
				// it was too slow: as good a reason to come back as any
				break
			}
			if err != nil {
				t.Error(err)
				return
			}
			_, offset, dropped := positionOf(t, string(b))
			if offset != last+1+dropped {
				t.Errorf("%s: %d after %d, and %d dropped", channel, offset, last, dropped)
				return
			}
			last = offset
			if dropped > 0 {
				told.Store(offset, true)
			}
		}
		_ = s.c.CloseNow()
	}
}
