package pattern

import (
	"fmt"
	"strings"
	"testing"
)

// overlapping are 4,096 patterns of 13 tokens that the walk for one name comes by, each: a or * in
// every place but the last.
func overlapping(last string) (set *Index[int], name func(last string) string) {
	set = &Index[int]{}
	for n := range 1 << 12 {
		tokens := make([]string, 12, 13)
		for i := range tokens {
			if tokens[i] = "a"; n>>i&1 == 1 {
				tokens[i] = "*"
			}
		}
		set.Put(strings.Join(append(tokens, last), "."), n)
	}
	return set, func(last string) string { return strings.Repeat("a.", 12) + last }
}

// TestIndex_KeepsWhatItHasFoundWithinBounds: names without end are matched, and what is kept of
// them is not more and more.
func TestIndex_KeepsWhatItHasFoundWithinBounds(t *testing.T) {
	set, name := overlapping("z")
	if got := len(set.Match(name("z"))); got != 1<<12 {
		t.Errorf("%d patterns match, want all", got)
	}
	weight := set.weight
	for i := range 1000 {
		if got := set.Match(name(fmt.Sprint("new", i))); len(got) > 0 {
			t.Fatal(got)
		}
	}
	if set.weight > weight+8 {
		t.Errorf("tokens that are in no pattern take room: %d after %d", set.weight, weight)
	}
	for n := range 1 << 12 {
		// literals somewhere, in every place: as many states as there are names
		var tokens []string
		for i := range 12 {
			tokens = append(tokens, string("az"[n>>i&1]))
		}
		set.Match(strings.Join(tokens, "."))
		if set.weight > 2*maxWeight {
			t.Fatalf("%d after %d names", set.weight, n)
		}
	}
}

// BenchmarkIndex_Match: one name in 4,096 overlapping patterns of which none matches. The walk
// is what each name cost before, and what the first costs after a pattern has come or gone.
func BenchmarkIndex_Match(b *testing.B) {
	set, name := overlapping("z")
	b.Run("walk", func(b *testing.B) {
		for b.Loop() {
			set.clear()
			set.Match(name("x"))
		}
	})
	b.Run("kept", func(b *testing.B) {
		b.ReportAllocs()
		n := name("x")
		for b.Loop() {
			set.Match(n)
		}
	})
}
