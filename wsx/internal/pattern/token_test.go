package pattern

import (
	"strings"
	"testing"
)

func TestToken_IsOneTokenOfAnyStringAndOfNoOther(t *testing.T) {
	seen := make(map[string]string)
	for s, want := range map[string]string{
		"ada": "ada", "A_9@-": "A_9@-", "": ":", ":": ":3A", "a.b": "a:2Eb", "*": ":2A", ">": ":3E",
		"\x00\xff": ":00:FF", "é": ":C3:A9", ":2A": ":3A2A", "::": ":3A:3A",
		strings.Repeat("x", 128): strings.Repeat("x", 128),
		strings.Repeat(".", 42):  strings.Repeat(":2E", 42), // 126 bytes
		strings.Repeat("x", 129): "",
		strings.Repeat(".", 43):  "",
	} {
		got := Token(s)
		if other, ok := seen[got]; ok {
			t.Errorf("%q and %q are %q", s, other, got)
		}
		seen[got] = s
		switch {
		case want == "": // its hash
			if !strings.HasPrefix(got, "::") || len(got) != 2+64 {
				t.Errorf("%d bytes are %q", len(s), got)
			}
		case got != want:
			t.Errorf("%q is %q, want %q", s, got, want)
		}
		if fault := Fault(got, false); fault != "" {
			t.Errorf("%q of %q: %s", got, s, fault)
		}
	}
}
