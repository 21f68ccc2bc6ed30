package fanout

import (
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// reader is a subscriber that keeps what it is given.
type reader struct {
	Slot
	number int
	visit  func(number int, payload string) // called for each frame

	mu     sync.Mutex
	got    []string
	visits int
	last   *Frame
}

func (r *reader) Take(frames []*Frame) {
	r.mu.Lock()
	r.visits++
	r.mu.Unlock()
	for _, f := range frames {
		r.mu.Lock()
		r.got, r.last = append(r.got, string(f.Payload)), f
		r.mu.Unlock()
		if r.visit != nil {
			r.visit(r.number, string(f.Payload))
		}
	}
}

// all is what it has got so far.
func (r *reader) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// house is an owner of one channel.
type house struct {
	mu      sync.Mutex
	groups  []*Group[*reader]
	under   string
	changes []broker.Presence
	told    chan broker.Presence // when not nil
}

func (h *house) Listeners(_ string, to []*Group[*reader]) ([]*Group[*reader], string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(to, h.groups...), h.under
}

func (h *house) TooLarge(e broker.Event) bool { return len(e.Payload) > 100 }

func (h *house) TellPresence(p broker.Presence) {
	h.mu.Lock()
	h.changes = append(h.changes, p)
	h.mu.Unlock()
	if h.told != nil {
		h.told <- p
	}
}

// houseOf has so many readers, a third of them in a second group.
func houseOf(readers int, visit func(number int, payload string)) (*house, []*reader) {
	h := &house{groups: []*Group[*reader]{
		{Label: Label{ID: "1"}}, {Label: Label{ID: "2", Pattern: true}},
	}}
	all := make([]*reader, readers)
	for i := range all {
		all[i] = &reader{number: i, visit: visit}
		if i < readers-readers/3 {
			h.groups[0].Add(all[i])
		} else {
			h.groups[1].Add(all[i])
		}
	}
	return h, all
}

// event is one of the channel "a".
func event(payload string) broker.Event {
	return broker.Event{Channel: "a", Payload: jsontext.Value(payload)}
}

// numbers are the payloads from first to last.
func numbers(first, last int) (all []string) {
	for i := first; i <= last; i++ {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

func (of *queue) add(payloads ...string) {
	of.mu.Lock()
	defer of.mu.Unlock()
	for _, p := range payloads {
		of.events = append(of.events, event(p))
	}
	of.some.Store(true)
}
