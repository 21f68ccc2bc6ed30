package fanout

import (
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// A worker that is held up keeps nobody from an event but those of its own stretch, and nobody gets
// a later event before an earlier one.
func TestCycle_WorkersShareTheVisits(t *testing.T) {
	t.Parallel()
	const readers, held = 1000, 3
	for name, late := range map[string][]string{"one follows": nil, "a few follow": numbers(3, 7)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newQueue()
				reached, release := make(chan struct{}), make(chan struct{})
				var firsts, seconds atomic.Int32
				h, all := houseOf(readers, func(number int, payload string) {
					switch payload {
					case "1":
						firsts.Add(1)
						switch number {
						case held:
							close(reached)
							<-release
						case readers - 1:
							q.add("2")
						}
					case "2":
						seconds.Add(1)
					}
				})
				c := newCycle(h, "a", q, []broker.Event{event("1")})
				done := make(chan struct{})
				go func() { c.runWith(3); close(done) }()
				<-reached
				synctest.Wait()
				if n := int(firsts.Load()); n != readers-(c.stretch-1-held) {
					t.Errorf("%d visits of %d with event 1 when a stretch of %d is held up", n,
						readers, c.stretch)
				}
				if n := int(seconds.Load()); n > 2*c.stretch {
					// those who came after it joined, and nobody behind who is held up
					t.Errorf("%d visits with event 2 meanwhile", n)
				}
				q.add(late...)
				close(release)
				<-done
				want := append([]string{"1", "2"}, late...)
				for i, r := range all {
					if got := r.all(); !slices.Equal(got, want) {
						t.Fatalf("reader %d got %q, want %q", i, got, want)
					}
				}
			})
		})
	}
}

// Whatever joins when, everybody gets every event once and all in one order.
func TestCycle_KeepsTheOrder(t *testing.T) {
	t.Parallel()
	const readers, most = 300, 200
	q := newQueue()
	var visits, sent atomic.Int64
	h, all := houseOf(readers, func(int, string) {
		if visits.Add(1)%97 == 0 {
			if n := sent.Add(1); n <= most {
				// from inside of the visits, so that they come at any of them
				q.add(strconv.FormatInt(n, 10))
			}
		}
	})
	newCycle(h, "a", q, []broker.Event{event("0")}).runWith(4)
	want := all[0].all()
	if len(want) != most+1 {
		t.Errorf("%d events of %d", len(want), most+1)
	}
	for i, r := range all[1:] {
		if got := r.all(); !slices.Equal(got, want) {
			t.Fatalf("reader %d got %q, the first %q", i+1, got, want)
		}
	}
	slices.Sort(want)
	if len(slices.Compact(want)) != most+1 {
		t.Errorf("some came more than once: %q", want)
	}
}

// Events in company are one visit of each, and a group's readers share the frame.
func TestCycle_BringsEventsTogether(t *testing.T) {
	h, all := houseOf(6, nil)
	h.under = "a.>"
	large := strconv.Itoa(1e9) + string(make([]byte, 100))
	newCycle(h, "a", newQueue(), []broker.Event{event("1"), event("2"), event(large)}).run(4)
	for _, r := range all {
		if r.visits != 1 || len(r.got) != 3 {
			t.Errorf("reader %d had %d visits and %d events", r.number, r.visits, len(r.got))
		}
		f := r.last
		if second := r.number >= 4; f.Label.Pattern != second || (f == all[0].last) == second ||
			f.Under != "a.>" || !f.TooLarge {
			t.Errorf("reader %d got the frame %+v", r.number, f)
		}
	}
}

// An event joins where the cycle is, unless the readers, the options or who is present are others.
func TestCycle_JoinsWhileNothingHasChanged(t *testing.T) {
	for name, c := range map[string]struct {
		change func(h *house, q *queue, all []*reader)
		joins  bool
	}{
		"nothing": {func(*house, *queue, []*reader) {}, true},
		"one more": {func(h *house, _ *queue, _ []*reader) {
			h.groups[1].Add(&reader{})
		}, false},
		"one less":    {func(h *house, _ *queue, r []*reader) { h.groups[0].Remove(r[0]) }, false},
		"the pattern": {func(h *house, _ *queue, _ []*reader) { h.under = "*" }, false},
		"a group more": {func(h *house, _ *queue, _ []*reader) {
			h.groups = append(h.groups, &Group[*reader]{})
		}, false},
		"another group": {func(h *house, _ *queue, _ []*reader) {
			h.groups[1] = &Group[*reader]{}
		}, false},
		"presence": {func(_ *house, q *queue, _ []*reader) {
			q.changes = append(q.changes, broker.Presence{})
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueue()
			var h *house
			var all []*reader
			h, all = houseOf(6, func(number int, payload string) {
				if number == 2 && payload == "1" {
					c.change(h, q, all)
					q.add("2")
				}
			})
			newCycle(h, "a", q, []broker.Event{event("1")}).run(4)
			if got := len(q.events) == 0; got != c.joins {
				t.Errorf("it joins: %v", got)
			}
			want := numbers(1, 1)
			if c.joins {
				want = numbers(1, 2)
			}
			for _, r := range all {
				if !slices.Equal(r.all(), want) {
					t.Errorf("reader %d got %q, want %q", r.number, r.got, want)
				}
			}
		})
	}
}
