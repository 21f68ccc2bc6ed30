package wsxtest

import (
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// brokerPatience is how long something that a broker has to deliver may take.
const brokerPatience = 10 * time.Second

// ExerciseBroker runs the contract of [broker.Broker], and of [broker.PresenceBroker] where the
// broker is one, as subtests of t. cluster is called once for each of them. It returns a function
// that opens one more node of a cluster on which nothing has happened yet: another connection to
// one server, say, or, where there are no nodes, the same broker each time. What it opens it has to
// close by t.Cleanup.
//
//	func TestBroker(t *testing.T) {
//		wsxtest.ExerciseBroker(t, func(testing.TB) func() broker.Broker {
//			b := broker.NewMemory()
//			return func() broker.Broker { return b }
//		})
//	}
func ExerciseBroker(t *testing.T, cluster func(t testing.TB) (open func() broker.Broker)) {
	t.Helper()
	if cluster == nil {
		t.Fatal("wsxtest: ExerciseBroker: the function that opens a cluster is nil")
	}
	for _, rule := range brokerRules {
		t.Run(rule.name, func(t *testing.T) { rule.check(t, cluster(t)) })
	}
}

// brokerRules are the contract, one rule each. Mutants of a broker prove that each can be broken.
var brokerRules = []struct {
	name  string
	check func(t testing.TB, open func() broker.Broker)
}{
	{"delivers to every hub with an interest, and to no other", ruleInterest},
	{"delivers by pattern, once", rulePatterns},
	{"delivers nothing after an interest or the hub has gone", ruleEnds},
	{"refuses hubs that are attached twice or not at all", ruleAttach},
	{"keeps the order of publishing", ruleOrder},
	{"numbers the events of a channel with history", ruleNumbers},
	{"keeps as many events as asked, and none older", ruleKeeps},
	{"replays what was missed, or nothing", ruleSince},
	{"hands over from history to live without a gap", ruleHandover},
	{"carries the trace with the event and with its replay", ruleTrace},
	{"keeps who is present", rulePresence},
}

// probe is a hub that keeps what it is given.
type probe struct {
	t      testing.TB
	broker broker.Broker
	detach func() error

	mu      sync.Mutex
	events  []broker.Event
	changes []broker.Presence
	changed chan struct{} // closed when something comes
	gone    bool
}

func attach(t testing.TB, b broker.Broker) *probe {
	t.Helper()
	p := &probe{t: t, broker: b, changed: make(chan struct{})}
	var err error
	if p.detach, err = b.Attach(p); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.leave)
	return p
}

// leave detaches the probe, once.
func (p *probe) leave() {
	p.mu.Lock()
	detach := p.detach
	p.detach = nil
	p.mu.Unlock()
	if detach == nil {
		return
	}
	if err := detach(); err != nil {
		p.t.Errorf("detach: %v", err)
	}
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
}

func (p *probe) Event(e broker.Event) {
	p.came(func() { p.events = append(p.events, e) })
}

func (p *probe) Presence(c broker.Presence) {
	p.came(func() { p.changes = append(p.changes, c) })
}

func (p *probe) came(put func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		p.t.Error("the broker delivers after detach")
	}
	put()
	close(p.changed)
	p.changed = make(chan struct{})
}

// until waits until enough, which is called with p locked, is true. It reports whether that came to
// be.
func (p *probe) until(what string, enough func() bool) bool {
	p.t.Helper()
	timeout := time.NewTimer(brokerPatience)
	defer timeout.Stop()
	for {
		p.mu.Lock()
		ok, changed := enough(), p.changed
		p.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
			continue
		case <-timeout.C:
		case <-p.t.Context().Done():
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.t.Errorf("%s: not in time; there are %d events, the last %+v", what, len(p.events),
			p.events[max(0, len(p.events)-3):])
		return false
	}
}

// gets takes the next events, as channel=payload, and expects just these in that order.
func (p *probe) gets(want ...string) {
	p.t.Helper()
	if !p.until(fmt.Sprintf("%q", want), func() bool { return len(p.events) >= len(want) }) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var got []string
	for _, e := range p.events {
		got = append(got, e.Channel+"="+string(e.Payload))
	}
	p.events = nil
	if !slices.Equal(got, want) {
		p.t.Errorf("delivered %q, want %q", got, want)
	}
}

func (p *probe) wants(name string, on bool) {
	p.t.Helper()
	if err := p.broker.Interest(p.t.Context(), p, name, on); err != nil {
		p.t.Fatalf("interest in %q: %v", name, err)
	}
}

var (
	noHistory = broker.History{}
	kept      = broker.History{Size: 100}
)

func publish(t testing.TB, b broker.Broker, channel, payload string,
	h broker.History,
) broker.Position {
	t.Helper()
	p, err := b.Publish(t.Context(),
		broker.Event{Channel: channel, Payload: jsontext.Value(payload)}, h)
	if err != nil {
		t.Errorf("publish to %q: %v", channel, err) // not Fatal: also called by goroutines
	}
	return p
}

func since(t testing.TB, b broker.Broker, channel string, from broker.Position,
	h broker.History,
) broker.Replay {
	t.Helper()
	r, err := b.Since(t.Context(), channel, from, h)
	if err != nil {
		t.Fatalf("since %v: %v", from, err)
	}
	return r
}

func ruleInterest(t testing.TB, open func() broker.Broker) {
	here, there := open(), open()
	a, b, idle := attach(t, here), attach(t, there), attach(t, there)
	a.wants("x", true)
	b.wants("x", true)
	b.wants("y", true)
	for _, h := range []broker.History{noHistory, kept} {
		suffix := strconv.Itoa(h.Size)
		if p := publish(t, here, "y", `"only b `+suffix+`"`, h); (p == broker.Position{}) !=
			(h.Size == 0) {
			t.Errorf("history of %d: position %v", h.Size, p)
		}
		b.gets(`y="only b ` + suffix + `"`)
		publish(t, here, "nobody", `0`, h)
		publish(t, there, "x", `{"both" : [1,null]}`, h)
		a.gets(`x={"both" : [1,null]}`)
		b.gets(`x={"both" : [1,null]}`)
	}
	idle.gets()
}

func rulePatterns(t testing.TB, open func() broker.Broker) {
	here, there := open(), open()
	a, b := attach(t, here), attach(t, there)
	for _, name := range []string{"a.*.c", "a.>", "a.b.c", "*.b.c"} {
		// one event for a hub, whatever matches
		a.wants(name, true)
	}
	b.wants("*.z", true)
	b.wants("end", true)
	for _, channel := range []string{
		"a.b.c", "a", "a.b", "a.b.c.d", "x.b.c", "b.b", "x.z",
		"x.y.z",
	} {
		publish(t, there, channel, `1`, noHistory)
		switch channel {
		case "a.b.c", "a.b", "a.b.c.d", "x.b.c":
			a.gets(channel + `=1`)
		case "x.z":
			b.gets(channel + `=1`)
		}
	}
	a.wants("end", true)
	publish(t, there, "end", `1`, noHistory)
	a.gets(`end=1`)
	b.gets(`end=1`)
}

func ruleEnds(t testing.TB, open func() broker.Broker) {
	here, there := open(), open()
	a, b := attach(t, here), attach(t, there)
	for _, p := range []*probe{a, b} {
		p.wants("x", true)
		p.wants("y.*", true)
		p.wants("end", true)
	}
	a.wants("x", false)
	a.wants("y.*", false)
	for _, channel := range []string{"x", "y.1", "end"} {
		publish(t, here, channel, `1`, noHistory)
	}
	b.until("three events", func() bool { return len(b.events) == 3 })
	a.gets(`end=1`)
	a.wants("x", true) // on and off in turn
	publish(t, there, "x", `2`, noHistory)
	a.gets(`x=2`)

	// what is published while the hub detaches comes before it has, or not at all
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 200 {
				publish(t, here, "x", `3`, noHistory)
			}
		})
	}
	a.leave()
	wg.Wait()
	c := attach(t, here)
	c.wants("x", true)
	publish(t, there, "x", `4`, noHistory)
	c.until("the event after detach",
		func() bool {
			return len(c.events) > 0 && string(c.events[len(c.events)-1].Payload) == `4`
		})
}

func ruleAttach(t testing.TB, open func() broker.Broker) {
	b := open()
	p := attach(t, b)
	if _, err := b.Attach(p); err == nil {
		t.Error("one hub is attached twice")
	}
	if err := b.Interest(t.Context(), &probe{t: t}, "x", true); err == nil {
		t.Error("a hub that is not attached has an interest")
	}
	p.leave()
	if err := b.Interest(t.Context(), p, "x", true); err == nil {
		t.Error("a hub that was detached has an interest")
	}
	detach, err := b.Attach(p) // again is fine
	if err != nil {
		t.Fatal(err)
	}
	if err := detach(); err != nil {
		t.Error(err)
	}
}

func ruleOrder(t testing.TB, open func() broker.Broker) {
	const publishers, each = 4, 250
	here, there := open(), open()
	probes := []*probe{attach(t, here), attach(t, there)}
	for _, p := range probes {
		p.wants("plain", true)
		p.wants("kept", true)
	}
	h := broker.History{Size: 2 * publishers * each}
	var wg sync.WaitGroup
	for i := range publishers {
		wg.Go(func() {
			for n := range each {
				node := []broker.Broker{here, there}[i%2]
				payload := fmt.Sprintf("[%d,%d]", i, n)
				publish(t, node, "plain", payload, noHistory)
				publish(t, node, "kept", payload, h)
			}
		})
	}
	wg.Wait()
	for _, p := range probes {
		if !p.until("all events", func() bool { return len(p.events) >= 2*publishers*each }) {
			return
		}
		next := make(map[string]int)
		offset := uint64(0)
		for _, e := range p.events {
			var i, n int
			if _, err := fmt.Sscanf(string(e.Payload), "[%d,%d]", &i, &n); err != nil {
				t.Fatalf("payload %q", e.Payload)
			}
			key := e.Channel + strconv.Itoa(i)
			if n != next[key] {
				t.Errorf("%s: event %d of publisher %d in place of %d", e.Channel, n, i, next[key])
				return
			}
			next[key]++
			if e.Channel == "kept" {
				if e.Position.Offset != offset+1 {
					t.Errorf("offset %d after %d", e.Position.Offset, offset)
					return
				}
				offset++
			}
		}
	}
}

// checkOffsets expects the events with these offsets, under one epoch.
func checkOffsets(t testing.TB, events []broker.Event, from, to int) {
	t.Helper()
	if len(events) != to-from+1 {
		t.Errorf("%d events, want %d", len(events), to-from+1)
		return
	}
	for i, e := range events {
		if e.Position.Offset != uint64(from+i) || e.Position.Epoch == "" ||
			e.Position.Epoch != events[0].Position.Epoch {
			t.Errorf("event %d of %d has position %v", i, len(events), e.Position)
			return
		}
	}
}
