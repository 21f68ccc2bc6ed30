package wsxtest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// rulePresence is the contract of [wsx.PresenceBroker].
func rulePresence(t testing.TB, open func() broker.Broker) {
	here, ok := open().(broker.PresenceBroker)
	if !ok {
		return // it need not be one
	}
	there := open().(broker.PresenceBroker)
	a, b := attach(t, here.(broker.Broker)), attach(t, there.(broker.Broker))
	one, two := broker.Member{Conn: "1", Subject: "ada"}, broker.Member{Conn: "2"}
	r := &roster{
		t: t, nodes: []broker.PresenceBroker{here, there},
		joined: make(map[string]uint64), seqs: make(map[*probe]uint64),
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	r.members()
	a.wants("x", true)
	must(here.Join(t.Context(), a, "x", one))
	r.told(a, broker.Presence{Channel: "x", Member: one})
	b.wants("x", true)
	must(there.Join(t.Context(), b, "x", two))
	r.told(a, broker.Presence{Channel: "x", Member: two})
	r.told(b, broker.Presence{Channel: "x", Member: two})
	r.members(one, two)
	must(here.Leave(t.Context(), a, "x", one))
	r.told(b, broker.Presence{Channel: "x", Member: one, Left: true})
	r.told(a, broker.Presence{Channel: "x", Member: one, Left: true})
	r.members(two)
	must(here.Join(t.Context(), a, "x", one)) // again
	r.told(a, broker.Presence{Channel: "x", Member: one})
	b.leave() // and its members with it
	r.told(a, broker.Presence{Channel: "x", Member: two, Left: true})
	r.members(one)
	must(here.Leave(context.WithoutCancel(t.Context()), a, "x", one))
	r.members()
}

// roster compares who is present in channel x with what hubs were told of it.
type roster struct {
	t      testing.TB
	nodes  []broker.PresenceBroker
	joined map[string]uint64 // by connection: the change by which it joined, as hubs were told
	seqs   map[*probe]uint64 // the last change that each was told of
}

// members asks every node who is present.
func (r *roster) members(want ...broker.Member) {
	r.t.Helper()
	for _, node := range r.nodes {
		got, err := node.Members(r.t.Context(), "x")
		slices.SortFunc(got,
			func(a, b broker.Member) int { return int(a.Conn[0]) - int(b.Conn[0]) })
		for i := range got {
			if got[i].Seq == 0 || got[i].Seq != r.joined[got[i].Conn] {
				r.t.Errorf("present is %+v, whose joining was the change %d", got[i],
					r.joined[got[i].Conn])
			}
			got[i].Seq = 0
		}
		if err != nil || !slices.Equal(got, want) {
			r.t.Errorf("present are %v, %v; want %v", got, err, want)
		}
	}
}

// told waits until p was told of these changes, and of no others.
func (r *roster) told(p *probe, want ...broker.Presence) {
	r.t.Helper()
	if !p.until(fmt.Sprintf("%v", want), func() bool { return len(p.changes) >= len(want) }) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.changes {
		c := &p.changes[i]
		if c.Seq != r.seqs[p]+1 && r.seqs[p] != 0 {
			r.t.Errorf("the change %d after %d", c.Seq, r.seqs[p])
		}
		if r.seqs[p] = c.Seq; !c.Left {
			r.joined[c.Member.Conn] = c.Seq
		}
		c.Seq = 0
	}
	if !slices.Equal(p.changes, want) {
		r.t.Errorf("told of %v, want %v", p.changes, want)
	}
	p.changes = nil
}
