package wsx

import (
	"fmt"
	"strings"
)

// maxChannel is the longest channel name or pattern in bytes.
const maxChannel = 256

// checkChannel reports what is wrong with a channel name (protocol section 4): 1 to 256 bytes, tokens of [A-Za-z0-9_:@-] joined
// by dots. A pattern may have * for one token and > for one or more at the end.
func checkChannel(name string, pattern bool) error {
	if name == "" || len(name) > maxChannel {
		return NewError(CodeInvalidRequest, "a channel name has 1 to 256 bytes")
	}
	for rest, more := name, true; more; {
		var token string
		token, rest, more = strings.Cut(rest, ".")
		switch {
		case token == "":
			return NewError(CodeInvalidRequest, "a channel name has no empty tokens")
		case pattern && (token == "*" || token == ">" && !more):
			continue
		}
		for i := range len(token) {
			c := token[i]
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == ':' || c == '@' || c == '-') {
				return NewError(CodeInvalidRequest, "a channel name is letters, digits and _:@- in tokens joined by dots")
			}
		}
	}
	return nil
}

// isPattern reports whether a valid name has wildcards.
func isPattern(name string) bool { return strings.ContainsAny(name, "*>") }

// within reports whether every channel that name stands for, itself or as a pattern, is one that pattern stands for.
func within(name, pattern string) bool {
	for {
		n, nameRest, nameMore := strings.Cut(name, ".")
		p, patternRest, patternMore := strings.Cut(pattern, ".")
		switch {
		case p == ">":
			return true // the rest of name, whatever it is, has at least one token
		case n == ">": // more tokens than the pattern allows
			return false
		case p != "*" && n != p: // a * in name is wider than any literal token
			return false
		case !nameMore || !patternMore:
			return nameMore == patternMore
		}
		name, pattern = nameRest, patternRest
	}
}

// breadths is what patterns are ordered by, as strings: token by token from the left a literal comes before *, and * before >. So a
// pattern that lies within another comes first, and of two that overlap the one that is literal where they first differ.
func breadths(pattern string) string {
	var b []byte
	for token := range strings.SplitSeq(pattern, ".") {
		switch token {
		case "*":
			b = append(b, '2')
		case ">":
			b = append(b, '3')
		default:
			b = append(b, '1')
		}
	}
	return string(b)
}

// tree finds the patterns that a channel name matches: a token tree, as NATS has it.
type tree[T any] struct {
	value    T
	set      bool
	children map[string]*tree[T]
}

// put sets the value of a pattern.
func (t *tree[T]) put(pattern string, value T) {
	for token := range strings.SplitSeq(pattern, ".") {
		child := t.children[token]
		if child == nil {
			child = &tree[T]{}
			if t.children == nil {
				t.children = make(map[string]*tree[T])
			}
			t.children[token] = child
		}
		t = child
	}
	t.value, t.set = value, true
}

// remove forgets a pattern, and the branches that only it had. It reports whether nothing is left.
func (t *tree[T]) remove(pattern string) (empty bool) {
	if pattern == "" {
		var zero T
		t.value, t.set = zero, false
	} else {
		token, rest, _ := strings.Cut(pattern, ".")
		if child := t.children[token]; child != nil && child.remove(rest) {
			delete(t.children, token)
		}
	}
	return !t.set && len(t.children) == 0
}

// match calls yield with the value of every pattern that name matches.
func (t *tree[T]) match(name string, yield func(T)) {
	if len(t.children) == 0 {
		return
	}
	if tail := t.children[">"]; tail != nil && tail.set {
		yield(tail.value)
	}
	token, rest, more := strings.Cut(name, ".")
	for _, key := range [...]string{token, "*"} {
		child := t.children[key]
		switch {
		case child == nil:
		case more:
			child.match(rest, yield)
		case child.set:
			yield(child.value)
		}
	}
}

func mustChannel(what, name string, pattern bool) {
	if err := checkChannel(name, pattern); err != nil {
		panic(fmt.Sprintf("wsx: %s(%q): %v", what, name, err))
	}
}
