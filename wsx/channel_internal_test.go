package wsx

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/internal/pattern"
)

// allPatterns are those of up to three tokens over two letters.
func allPatterns() (patterns, names []string) {
	var grow func(prefix string, n int)
	grow = func(prefix string, n int) {
		for _, token := range []string{"a", "b", "*", ">"} {
			s := prefix + token
			patterns = append(patterns, s)
			if !pattern.HasWildcard(s) {
				names = append(names, s)
			}
			if n > 1 && token != ">" {
				grow(s+".", n-1)
			}
		}
	}
	grow("", 3)
	return patterns, names
}

// TestHub_NarrowestPatternCounts: whatever the order of configuring, and no other pattern that
// holds the name lies within the one found.
func TestHub_NarrowestPatternCounts(t *testing.T) {
	all, _ := allPatterns()
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		configured := make([]string, 1+r.IntN(8))
		for i := range configured {
			configured[i] = all[r.IntN(len(all))]
		}
		hub, again := NewHub(nil), NewHub(&HubOptions{Logger: slog.New(slog.DiscardHandler)})
		for i := range configured {
			hub.Configure(configured[i], nil)
			again.Configure(configured[len(configured)-1-i], nil)
		}
		for _, name := range all {
			under, opts := hub.options(name)
			if other, _ := again.options(name); other != under {
				t.Fatalf("%q of %v: %q or %q, by the order of configuring", name, configured, under,
					other)
			}
			for _, p := range configured {
				switch {
				case pattern.Within(name, p) && opts == nil:
					t.Fatalf("%q of %v: nothing found", name, configured)
				case pattern.Within(name, p) && p != under && pattern.Within(p, under):
					t.Fatalf("%q of %v: found %q, narrower is %q", name, configured, under, p)
				}
			}
		}
	}
}

func TestHub_OfOverlappingPatternsTheLeftmostLiteralCounts(t *testing.T) {
	hub := NewHub(nil)
	for _, p := range []string{">", "a.>", "*.b", "a.*", "a.*.>", "a.*.c", "*.b.c", "a.b"} {
		hub.Configure(p, nil)
	}
	for name, want := range map[string]string{
		"a.b": "a.b", "a.x": "a.*", "x.b": "*.b", "a.x.c": "a.*.c", "a.b.c": "a.*.c",
		"x.b.c": "*.b.c", "a.x.y": "a.*.>", "x.y": ">", "a.*": "a.*", "a.>": "a.>",
	} {
		if got, _ := hub.options(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestHub_ConfigureRefusesWhatCannotWork(t *testing.T) {
	for name, configure := range map[string]func(){
		"bad pattern":        func() { NewHub(nil).Configure("a..b", nil) },
		"> that is not last": func() { NewHub(nil).Configure(">.a", nil) },
		"presence without broker": func() {
			NewHub(&HubOptions{Broker: struct{ broker.Broker }{broker.NewMemory()}}).Configure("a",
				&ChannelOptions{Presence: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if v := fmt.Sprint(recover()); !strings.HasPrefix(v, "wsx: Configure(") {
					t.Error(v)
				}
			}()
			configure()
		})
	}
}
