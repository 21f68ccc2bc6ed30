package fanout

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// Whoever goes through a snapshot sees those who were in the group when it was taken, whatever
// comes and goes meanwhile.
func TestGroup_SnapshotsStayAsTheyWere(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	var g Group[*reader]
	in := make(map[*reader]bool)
	for range 2000 {
		snapshot := g.Snapshot()
		if len(snapshot) != len(in) || g.Empty() != (len(in) == 0) {
			t.Fatalf("%d in the group, want %d", len(snapshot), len(in))
		}
		was := slices.Clone(snapshot)
		if !g.unchanged(snapshot) {
			t.Fatal("it has changed without a change")
		}
		if len(in) > 0 && r.IntN(2) == 0 {
			out := snapshot[r.IntN(len(snapshot))]
			g.Remove(out)
			delete(in, out)
		} else {
			one := &reader{}
			g.Add(one)
			in[one] = true
		}
		if g.unchanged(snapshot) {
			t.Fatal("a change is not seen")
		}
		if !slices.Equal(snapshot, was) {
			t.Fatal("a snapshot has changed")
		}
		for _, one := range g.Snapshot() {
			if !in[one] {
				t.Fatal("somebody is in it who was removed")
			}
		}
	}
}

func TestFrame_IsEncodedOnceUnlessEventsWereLost(t *testing.T) {
	e := event("1")
	e.Position = broker.Position{Epoch: "e", Offset: 7}
	for _, d := range []wire.Dialect{wire.WSX, wire.JSONRPC} {
		f := &Frame{Event: e, Label: &Label{ID: "s"}}
		shared := f.Encoded(d, 0)
		if f.Encoded(d, 0) != shared {
			t.Error("encoded twice")
		}
		if f.Encoded(d, 3) == shared {
			t.Error("what one has lost is told to all")
		}
	}
	for _, c := range []struct {
		pattern bool
		lost    uint64
		want    string
	}{
		{false, 0, `"epoch":"e","offset":7`},
		{false, 3, `"dropped":3`},
		{true, 0, `"sub_id":"s"`},
	} {
		f := &Frame{Event: e, Label: &Label{ID: "s", Pattern: c.pattern}}
		got := string(f.Encoded(wire.WSX, c.lost).Payload())
		if !strings.Contains(got, c.want) || c.pattern == strings.Contains(got, `"epoch"`) {
			t.Errorf("%+v is %s", c, got)
		}
	}
}
