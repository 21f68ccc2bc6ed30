package pattern

import (
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

func fits(syntax *regexp.Regexp, s string) bool {
	return len(s) <= 256 && strings.Count(s, ".") < 16 && syntax.MatchString(s)
}

// matcher is a pattern as a regular expression of names.
func matcher(pattern string) *regexp.Regexp {
	token := `[^.]+`
	s := strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, token)
	return regexp.MustCompile(`^` + strings.ReplaceAll(s, `>`, token+`(\.`+token+`)*`) + `\z`)
}

// samples are names that a pattern matches, such that another pattern matches all names of it when
// it matches these: the tokens that the wildcards stand for are in no pattern.
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
	if got := Within(narrow, wide); got != want {
		t.Errorf("Within(%q, %q) = %v", narrow, wide, got)
	}
	if want && narrow != wide && Specificity(narrow) >= Specificity(wide) {
		t.Errorf("%q lies within %q and does not come first", narrow, wide)
	}
	if !HasWildcard(narrow) {
		var set Index[string]
		set.Put(wide, wide)
		if found := set.Match(narrow); slices.Equal(found, []string{wide}) != want {
			t.Errorf("of %q, %q matches %v", wide, narrow, found)
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, s := range []string{
		"a", "a.b", "a.*", "a.>", ">", "*", "*.b", "a.*.c", "a..b", ".", "",
		"a b", "a.>.b", "a*", "A:b@c-d_0", "a\n", "ä", "*.>",
	} {
		f.Add(s, "a.>")
		f.Add("a.b.c", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		for _, s := range []string{a, b} {
			if got := Fault(s, false) == ""; got != fits(nameSyntax, s) {
				t.Errorf("%q as a name: %v", s, got)
			}
			if got := Fault(s, true) == ""; got != fits(patternSyntax, s) {
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
			if !HasWildcard(s) {
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

func TestWithin_AgreesWithEveryShortPattern(t *testing.T) {
	all, _ := allPatterns()
	for _, a := range all {
		for _, b := range all {
			checkWithin(t, a, b)
		}
	}
}

func TestIndex_FindsWhatWasPutAndNotRemoved(t *testing.T) {
	all, names := allPatterns()
	// tokens that no pattern has, and more than any has
	names = append(names, "new", "a.new", "new.b", "a.new.b", "new.new.new", "a.b.a.b")
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		var set Index[string]
		in := make(map[string]bool)
		for range r.IntN(40) {
			p := all[r.IntN(len(all))]
			if r.IntN(3) > 0 {
				set.Put(p, p)
				in[p] = true
			} else {
				set.Remove(p)
				delete(in, p)
			}
		}
		for _, name := range slices.Concat(names, names) {
			// first as the walk finds it, then as it was kept
			var want []string
			got := slices.Clone(set.Match(name))
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
			set.Remove(p)
		}
		if len(set.edges)+len(set.literals)+set.root.edges > 0 {
			t.Fatalf("branches of %v are kept", in)
		}
	}
}
