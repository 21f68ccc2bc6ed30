package wsx

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The oracles: what protocol section 4 says of names and patterns, as regular expressions.
var (
	nameSyntax    = regexp.MustCompile(`^[A-Za-z0-9_:@-]+(\.[A-Za-z0-9_:@-]+)*\z`)
	patternSyntax = regexp.MustCompile(`^(([A-Za-z0-9_:@-]+|\*)\.)*([A-Za-z0-9_:@-]+|\*|>)\z`)
)

func fits(syntax *regexp.Regexp, s string) bool { return len(s) <= 256 && syntax.MatchString(s) }

// matcher is a pattern as a regular expression of names.
func matcher(pattern string) *regexp.Regexp {
	token := `[^.]+`
	s := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, token)
	return regexp.MustCompile(`^` + strings.ReplaceAll(s, `>`, token+`(\.`+token+`)*`) + `\z`)
}

// samples are names that a pattern matches, such that another pattern matches all names of it when it matches these: the tokens that the
// wildcards stand for are in no pattern.
func samples(pattern string, tokens int) []string {
	pattern = strings.ReplaceAll(pattern, "*", "Fresh")
	base, tail := strings.CutSuffix(pattern, ">")
	if !tail {
		return []string{base}
	}
	var names []string
	for n := range tokens + 1 {
		names = append(names, base+"Fresh"+strings.Repeat(".Fresh", n))
	}
	return names
}

func checkWithin(t *testing.T, narrow, wide string) {
	t.Helper()
	want, re := true, matcher(wide)
	for _, name := range samples(narrow, strings.Count(wide, ".")+2) {
		want = want && re.MatchString(name)
	}
	if got := within(narrow, wide); got != want {
		t.Errorf("within(%q, %q) = %v", narrow, wide, got)
	}
	if want && narrow != wide && breadths(narrow) >= breadths(wide) {
		t.Errorf("%q lies within %q and does not come first", narrow, wide)
	}
	if !isPattern(narrow) {
		found := false
		var set tree[string]
		set.put(wide, wide)
		set.match(narrow, func(p string) { found = p == wide })
		if found != want {
			t.Errorf("the tree with %q has %q: %v", wide, narrow, found)
		}
	}
}

func FuzzChannelPattern(f *testing.F) {
	for _, s := range []string{"a", "a.b", "a.*", "a.>", ">", "*", "*.b", "a.*.c", "a..b", ".", "", "a b", "a.>.b", "a*", "A:b@c-d_0", "a\n", "ä", "*.>"} {
		f.Add(s, "a.>")
		f.Add("a.b.c", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, s := range []string{a, b} {
			if got := checkChannel(s, false) == nil; got != fits(nameSyntax, s) {
				t.Errorf("%q as a name: %v", s, got)
			}
			if got := checkChannel(s, true) == nil; got != fits(patternSyntax, s) {
				t.Errorf("%q as a pattern: %v", s, got)
			}
		}
		if !fits(patternSyntax, a) || !fits(patternSyntax, b) || strings.Contains(a+b, "Fresh") {
			return
		}
		checkWithin(t, a, b)
		checkWithin(t, b, a)
	})
}

// allPatterns are those of up to three tokens over two letters.
func allPatterns() (patterns, names []string) {
	var grow func(prefix string, n int)
	grow = func(prefix string, n int) {
		for _, token := range []string{"a", "b", "*", ">"} {
			s := prefix + token
			patterns = append(patterns, s)
			if !isPattern(s) {
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

func TestChannel_WithinAgreesWithEveryShortPattern(t *testing.T) {
	patterns, _ := allPatterns()
	for _, a := range patterns {
		for _, b := range patterns {
			checkWithin(t, a, b)
		}
	}
}

func TestChannel_TreeFindsWhatWasPutAndNotRemoved(t *testing.T) {
	patterns, names := allPatterns()
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var set tree[string]
		in := make(map[string]bool)
		for range r.IntN(40) {
			p := patterns[r.IntN(len(patterns))]
			if r.IntN(3) > 0 {
				set.put(p, p)
				in[p] = true
			} else {
				set.remove(p)
				delete(in, p)
			}
		}
		for _, name := range names {
			var got, want []string
			set.match(name, func(p string) { got = append(got, p) })
			for p := range in {
				if matcher(p).MatchString(name) {
					want = append(want, p)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("%q of %v: got %v, want %v", name, in, got, want)
			}
		}
		for p := range in {
			set.remove(p)
		}
		if set.set || len(set.children) > 0 {
			t.Fatalf("the tree keeps branches of %v", in)
		}
	}
}

// TestHub_NarrowestPatternCounts: whatever the order of configuring, and no other pattern that holds the name lies within the one found.
func TestHub_NarrowestPatternCounts(t *testing.T) {
	patterns, _ := allPatterns()
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		configured := make([]string, 1+r.IntN(8))
		for i := range configured {
			configured[i] = patterns[r.IntN(len(patterns))]
		}
		hub, again := NewHub(nil), NewHub(&HubOptions{Logger: slog.New(slog.DiscardHandler)})
		for i := range configured {
			hub.Configure(configured[i], ChannelOptions{})
			again.Configure(configured[len(configured)-1-i], ChannelOptions{})
		}
		for _, name := range patterns {
			under, opts := hub.options(name)
			if other, _ := again.options(name); other != under {
				t.Fatalf("%q of %v: %q or %q, by the order of configuring", name, configured, under, other)
			}
			for _, p := range configured {
				switch {
				case within(name, p) && opts == nil:
					t.Fatalf("%q of %v: nothing found", name, configured)
				case within(name, p) && p != under && within(p, under):
					t.Fatalf("%q of %v: found %q, narrower is %q", name, configured, under, p)
				}
			}
		}
	}
}

func TestHub_OfOverlappingPatternsTheLeftmostLiteralCounts(t *testing.T) {
	hub := NewHub(nil)
	for _, p := range []string{">", "a.>", "*.b", "a.*", "a.*.>", "a.*.c", "*.b.c", "a.b"} {
		hub.Configure(p, ChannelOptions{})
	}
	for name, want := range map[string]string{
		"a.b": "a.b", "a.x": "a.*", "x.b": "*.b", "a.x.c": "a.*.c", "a.b.c": "a.*.c", "x.b.c": "*.b.c", "a.x.y": "a.*.>", "x.y": ">", "a.*": "a.*", "a.>": "a.>",
	} {
		if got, _ := hub.options(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestHub_ConfigureRefusesWhatCannotWork(t *testing.T) {
	for name, configure := range map[string]func(){
		"bad pattern":        func() { NewHub(nil).Configure("a..b", ChannelOptions{}) },
		"> that is not last": func() { NewHub(nil).Configure(">.a", ChannelOptions{}) },
		"presence without broker": func() {
			NewHub(&HubOptions{Broker: struct{ Broker }{NewMemoryBroker()}}).Configure("a", ChannelOptions{Presence: true})
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
