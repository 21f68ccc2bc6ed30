package pattern

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// The limits of a channel's name or pattern (protocol section 4). That of tokens bounds what one
// pattern costs to keep and one name to match.
const (
	MaxBytes  = 256 // bytes
	MaxTokens = 16
)

// Fault says what is wrong with a channel's name (protocol section 4), "" for nothing: 1 to
// 256 bytes, at most 16 tokens of [A-Za-z0-9_:@-] joined by dots. A pattern may have * for one
// token and > for one or more at the end.
func Fault(name string, wildcards bool) string {
	if name == "" || len(name) > MaxBytes {
		return "a channel name has 1 to 256 bytes"
	}
	tokens := 0
	for rest, more := name, true; more; {
		var token string
		token, rest, more = strings.Cut(rest, ".")
		if tokens++; tokens > MaxTokens {
			return "a channel name has at most 16 tokens"
		}
		switch {
		case token == "":
			return "a channel name has no empty tokens"
		case wildcards && (token == "*" || token == ">" && !more):
			continue
		}
		for i := range len(token) {
			if !plain(token[i]) && token[i] != escape {
				return "a channel name is letters, digits and _:@- in tokens joined by dots"
			}
		}
	}
	return ""
}

// plain reports whether a byte may be in a token as it is.
func plain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' ||
		c == '@' || c == '-'
}

const (
	escape   = ':'
	maxPlain = 128 // bytes of a token before its hash stands for it
)

// Token makes one token of a channel's name of any string: a user's name, a path, what a client has
// sent. Different strings have different tokens, and none is a wildcard or holds a dot, so a name
// that is joined of a program's own tokens and of those of Token is always a channel's name, and
// nobody's but that string's:
//
//	hub.Publish(ctx, "inbox."+wsx.Token(user), message)
//
// Letters, digits and _ @ - stay as they are, every other byte becomes a colon and two hexadecimal
// digits: ada@example:2Ecom. The empty string becomes a colon, and one whose token would be longer
// than 128 bytes two colons and its SHA-256, so that a token has 1 to 128 bytes.
func Token(s string) string {
	if s == "" {
		return string(escape)
	}
	escaped := 0
	for i := range len(s) {
		if !plain(s[i]) {
			escaped++
		}
	}
	if len(s)+2*escaped > maxPlain {
		return fmt.Sprintf("::%x", sha256.Sum256([]byte(s)))
	}
	if escaped == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*escaped)
	for i := range len(s) {
		if plain(s[i]) {
			b = append(b, s[i])
		} else {
			b = fmt.Appendf(b, "%c%02X", escape, s[i])
		}
	}
	return string(b)
}

// HasWildcard reports whether a valid name has wildcards.
func HasWildcard(name string) bool { return strings.ContainsAny(name, "*>") }

// Within reports whether every channel that name stands for, itself or as a pattern, is one that
// pattern stands for.
func Within(name, pattern string) bool {
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

// Specificity is what patterns are ordered by, as strings: token by token from the left a literal
// comes before *, and * before >. So a pattern that lies Within another comes first, and of two
// that overlap the one that is literal where they first differ.
func Specificity(pattern string) string {
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
