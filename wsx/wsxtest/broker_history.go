package wsxtest

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/wsx/broker"
)

func ruleNumbers(t testing.TB, open func() broker.Broker) {
	here, there := open(), open()
	a := attach(t, there)
	a.wants("x", true)
	empty := since(t, there, "x", broker.Position{}, kept)
	if !empty.Complete || empty.Newest.Epoch == "" || empty.Newest.Offset != 0 ||
		len(empty.Events) != 0 {
		t.Errorf("before the first event: %+v", empty)
	}
	for i := range 5 {
		node := []broker.Broker{here, there}[i%2]
		want := broker.Position{Epoch: empty.Newest.Epoch, Offset: uint64(i + 1)}
		if got := publish(t, node, "x", strconv.Itoa(i), kept); got != want {
			t.Errorf("published at %v, want %v", got, want)
		}
	}
	if a.until("five events", func() bool { return len(a.events) == 5 }) {
		checkOffsets(t, a.events, 1, 5)
	}
	if got := since(t, here, "x", broker.Position{}, kept); !got.Complete ||
		got.Newest != (broker.Position{Epoch: empty.Newest.Epoch, Offset: 5}) ||
		len(got.Events) != 0 {
		t.Errorf("after five events: %+v", got)
	}
	if p := publish(t, here, "other", `1`, kept); p.Offset != 1 {
		t.Errorf("another channel begins at %v", p)
	}
}

func ruleKeeps(t testing.TB, open func() broker.Broker) {
	b := open()
	three := broker.History{Size: 3}
	var p broker.Position
	for range 10 {
		p = publish(t, b, "x", `1`, three)
	}
	from := func(offset uint64) broker.Position {
		return broker.Position{Epoch: p.Epoch, Offset: offset}
	}
	if r := since(t, b, "x", from(7), three); !r.Complete {
		t.Errorf("the newest three are not there: %+v", r)
	} else {
		checkOffsets(t, r.Events, 8, 10)
	}
	if r := since(t, b, "x", from(6), three); r.Complete || len(r.Events) > 0 || r.Newest != p {
		t.Errorf("more is there than asked: %+v", r)
	}

	brief := broker.History{Size: 100, Age: 300 * time.Millisecond}
	began := time.Now()
	p = publish(t, b, "y", `1`, brief)
	r := since(t, b, "y", from(0), brief)
	if fresh := time.Since(began) < brief.Age; fresh && p.Epoch == from(0).Epoch && !r.Complete {
		t.Errorf("a fresh event is not there: %+v", r)
	}
	from = func(offset uint64) broker.Position {
		return broker.Position{Epoch: p.Epoch, Offset: offset}
	}
	<-time.After(time.Until(began.Add(2 * brief.Age)))
	if r := since(t, b, "y", from(0), brief); r.Complete || len(r.Events) > 0 {
		t.Errorf("an event of %v is there after %v: %+v", brief.Age, time.Since(began), r)
	}
}

func ruleSince(t testing.TB, open func() broker.Broker) {
	here, there := open(), open()
	var p broker.Position
	for i := range 5 {
		p = publish(t, here, "x", strconv.Itoa(i+1), kept)
	}
	for _, tc := range []struct {
		name     string
		from     broker.Position
		complete bool
		first    int // 0 for no events
	}{
		{"nothing asked", broker.Position{}, true, 0},
		{"from the beginning", broker.Position{Epoch: p.Epoch}, true, 1},
		{"from the middle", broker.Position{Epoch: p.Epoch, Offset: 3}, true, 4},
		{"nothing missed", p, true, 0},
		{"ahead", broker.Position{Epoch: p.Epoch, Offset: 6}, false, 0},
		{"far ahead", broker.Position{Epoch: p.Epoch, Offset: 1<<64 - 1}, false, 0},
		{"another epoch", broker.Position{Epoch: "another", Offset: 3}, false, 0},
		{"no epoch", broker.Position{Offset: 3}, false, 0},
	} {
		r := since(t, there, "x", tc.from, kept)
		if r.Complete != tc.complete || r.Newest != p {
			t.Errorf("%s: %+v", tc.name, r)
		}
		if tc.first == 0 {
			if len(r.Events) > 0 {
				t.Errorf("%s: %d events", tc.name, len(r.Events))
			}
			continue
		}
		checkOffsets(t, r.Events, tc.first, 5)
		for _, e := range r.Events {
			if e.Channel != "x" || string(e.Payload) != strconv.FormatUint(e.Position.Offset, 10) ||
				e.Position.Epoch != p.Epoch {
				t.Errorf("%s: %+v", tc.name, e)
			}
		}
	}
}

// ruleHandover subscribes, as a hub does, in the middle of publishing: what Since returns and what
// is delivered beyond its newest are all.
func ruleHandover(t testing.TB, open func() broker.Broker) {
	const events, subscribers = 2000, 20
	h := broker.History{Size: 2 * events}
	here, there := open(), open()
	epoch := publish(t, here, "x", `1`, h).Epoch
	var wg sync.WaitGroup
	wg.Go(func() {
		for range events - 1 {
			publish(t, here, "x", `1`, h)
		}
	})
	for i := range subscribers {
		wg.Go(func() {
			node := []broker.Broker{here, there}[i%2]
			p := &probe{t: t, broker: node, changed: make(chan struct{})}
			detach, err := node.Attach(p)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() {
				if err := detach(); err != nil {
					t.Error(err)
				}
			}()
			if err := node.Interest(t.Context(), p, "x", true); err != nil {
				t.Error(err)
			}
			r, err := node.Since(t.Context(), "x", broker.Position{Epoch: epoch}, h)
			if err != nil || !r.Complete {
				t.Errorf("since: %+v, %v", r.Newest, err)
				return
			}
			all := r.Events
			if !p.until("the last event", func() bool {
				n := len(p.events)
				return r.Newest.Offset == events || n > 0 && p.events[n-1].Position.Offset == events
			}) {
				return
			}
			p.mu.Lock()
			for _, e := range p.events {
				if e.Position.Offset > r.Newest.Offset {
					all = append(all, e)
				}
			}
			p.mu.Unlock()
			checkOffsets(t, all, 1, events)
		})
	}
	wg.Wait()
}

// ruleTrace publishes events with a trace and without, and with a position, which is of no account.
func ruleTrace(t testing.TB, open func() broker.Broker) {
	here, there := open(), open()
	a := attach(t, there)
	a.wants("plain", true)
	a.wants("kept", true)
	traces := []broker.Trace{
		{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
		{},
		{
			Parent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
			State:  `rojo=00f067aa0ba902b7,congo="t61 \\`,
		},
	}
	elsewhere := broker.Position{Epoch: "another", Offset: 77}
	var from broker.Position // before the first event
	for i, trace := range traces {
		e := broker.Event{
			Channel: "plain", Payload: []byte("1"), Position: elsewhere, Trace: trace,
		}
		p, err := here.Publish(t.Context(), e, noHistory)
		if err != nil || p != (broker.Position{}) {
			t.Errorf("published without history at %v, %v", p, err)
		}
		e.Channel = "kept"
		p, err = here.Publish(t.Context(), e, kept)
		if err != nil || p.Epoch == elsewhere.Epoch || p.Offset != uint64(i+1) {
			t.Errorf("published at %v, %v", p, err)
		}
		from.Epoch = p.Epoch
	}
	if !a.until("six events", func() bool { return len(a.events) == 2*len(traces) }) {
		return
	}
	got := map[string][]broker.Event{"replayed": since(t, there, "kept", from, kept).Events}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, e := range a.events {
		got[e.Channel] = append(got[e.Channel], e)
		if e.Channel == "plain" && e.Position != (broker.Position{}) {
			t.Errorf("delivered without history at %v", e.Position)
		}
	}
	for _, which := range []string{"plain", "kept", "replayed"} {
		if len(got[which]) != len(traces) {
			t.Errorf("%s: %d events, want %d", which, len(got[which]), len(traces))
			continue
		}
		for i, e := range got[which] {
			if e.Trace != traces[i] {
				t.Errorf("%s: event %d has the trace %+v, want %+v", which, i, e.Trace, traces[i])
			}
		}
	}
	checkOffsets(t, got["kept"], 1, len(traces))
}
