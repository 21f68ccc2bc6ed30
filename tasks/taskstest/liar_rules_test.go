package taskstest

import (
	"flag"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

var update = flag.Bool("update", false, "write testdata/complaints.txt anew")

// complaints is what the rules say of stores that lie, a line each.
const complaints = "testdata/complaints.txt"

// all are the rules by name.
func all() map[string]func(s *suite) {
	all := map[string]func(s *suite){
		"ReopenAddMany": testReopenAddMany, "Reopen": testReopen, "ReopenFence": testReopenFence,
	}
	for _, r := range rules {
		all[r.name] = r.test
	}
	return all
}

// examine runs a rule against a store and returns what it complains of, and the store.
func examine(t *testing.T, rule func(s *suite), lie lie, at int) (texts []string, s *liar) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { // nobody waits for what is not told
		v := &verdict{TB: t}
		s = &liar{Store: memstore.New(), lie: lie, at: at}
		h := Harness{
			Patience: 1,
			Join:     func(_ testing.TB, s tasks.Store) tasks.Store { return s },
			Reopen: func(testing.TB, tasks.Store) tasks.Store {
				s = s.reopened()
				return s
			},
		}
		done := make(chan struct{})
		tested := &suite{TB: v, h: h, s: s}
		go func() {
			defer close(done)
			rule(tested)
		}()
		<-done
		texts = v.texts
	})
	return texts, s
}

// which are the answers to lie in: all when they are few, else the first and the last of those that
// were asked for at the same place, for the same thing.
func which(all []given) []int {
	const few = 100
	first, last := map[string]int{}, map[string]int{}
	for i, g := range all {
		by := g.by
		if len(all) <= few {
			by = strconv.Itoa(i)
		}
		if _, seen := first[by]; !seen {
			first[by] = i
		}
		last[by] = i
	}
	at := slices.Concat(slices.Collect(maps.Values(first)), slices.Collect(maps.Values(last)))
	slices.Sort(at)
	return slices.Compact(at)
}

// TestRules_FindEveryLie: a store that answers wrongly once is found where that is an error that it
// should not have; and everything that a rule can say against a store is said of one lie or
// another, so that no check is in vain.
func TestRules_FindEveryLie(t *testing.T) {
	said := map[string]bool{}
	for name, rule := range all() {
		if strings.HasPrefix(name, "Race") {
			continue // its answers come in no order
		}
		t.Run(name, func(t *testing.T) {
			texts, honest := examine(t, rule, nil, 0)
			if len(texts) > 0 || honest.watches > 0 {
				t.Fatalf("the truth: %q, and %d watches go on", texts, honest.watches)
			}
			all := honest.given
			for _, at := range which(all) {
				for what, lie := range lies {
					if a := all[at].answer; !lie(&a) {
						continue
					}
					texts, _ := examine(t, rule, lie, at)
					if what == "it did not work" && len(texts) == 0 {
						t.Errorf("%s, of the %d. answer, to %s, is not found", what, at,
							all[at].of)
					}
					for _, text := range texts {
						said[name+": "+text] = true
					}
				}
			}
		})
	}
	got := slices.Sorted(maps.Keys(said))
	if *update {
		lines := strings.Join(got, "\n") + "\n"
		if err := os.WriteFile(complaints, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(complaints)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(b)), "\n")
	for _, line := range want {
		if !said[line] {
			t.Errorf("of no lie is said any more: %s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("not in %s, see -update: %s", complaints, line)
		}
	}
}

// text is what is said by format and args, but for what differs from one store to another.
func text(format string, args ...any) string {
	if what, isText := first(args).(string); isText && strings.HasPrefix(format, "%s:") {
		format = strings.Replace(format, "%s", what, 1)
	}
	return strings.Join(strings.Fields(format), " ")
}

func first(args []any) any {
	if len(args) == 0 {
		return nil
	}
	return args[0]
}
