package chiadapter

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// URLError is what is wrong with a call of [URLFor].
type URLError struct {
	Pattern string
	Param   string // the parameter at fault; empty when it is the pattern
	Reason  string
}

// Error implements error.
func (e *URLError) Error() string {
	if e.Param == "" {
		return fmt.Sprintf("chiadapter: URLFor %q: %s", e.Pattern, e.Reason)
	}
	return fmt.Sprintf("chiadapter: URLFor %q: parameter %q: %s", e.Pattern, e.Param, e.Reason)
}

// URLFor is the path that a chi route with this pattern serves, with its parameters filled in from
// pairs of name and value:
//
//	URLFor("/orders/{id}/files/*", "id", "42", "*", "a/b.pdf") // /orders/42/files/a/b.pdf
//
// chi's routes have no names; a constant for the pattern, used to register the route and here,
// serves as one. A route in a mounted router has the patterns of both joined. The path is escaped
// and begins with exactly one slash, so that it cannot lead to another host; below a [Mount] it
// needs [Prefix] before it.
//
// A slash in the value of {name} is escaped (chi then hands all parameters of the request to its
// handler in escaped form), one in that of * is not. The error is a *[URLError]: a parameter is
// missing, unknown, given twice or empty (only * may be), does not match its regular expression,
// holds the character that ends it in the pattern (the dot of {name}.json), or makes a segment "."
// or "..", which clients would resolve; or the pattern is not one of chi's.
func URLFor(pattern string, pairs ...string) (string, error) {
	parts, err := parsePattern(pattern)
	if err != nil {
		return "", err
	}
	values, err := parsePairs(pattern, pairs)
	if err != nil {
		return "", err
	}
	escapedSlash := false // chi then routes on the escaped path
	for _, p := range parts {
		escapedSlash = escapedSlash || p.name != "" && p.name != "*" &&
			strings.Contains(values[p.name], "/")
	}
	var out strings.Builder
	for _, p := range parts {
		text := escape(p.literal)
		if p.name == "" {
			if escapedSlash && text != p.literal {
				return "", &URLError{
					pattern, "",
					"chi cannot match a pattern that needs escaping when a value holds a slash",
				}
			}
		} else {
			value, given := values[p.name]
			delete(values, p.name)
			var reason string
			if text, reason = p.fill(value, given, escapedSlash); reason != "" {
				return "", &URLError{pattern, p.name, reason}
			}
		}
		out.WriteString(text)
	}
	for name := range values {
		return "", &URLError{pattern, name, "is not in the pattern"}
	}
	made := out.String()
	for segment := range strings.SplitSeq(made, "/") {
		if segment == "." || segment == ".." {
			return "", &URLError{pattern, "", "a segment would be . or .., which clients resolve"}
		}
	}
	return made, nil
}

func parsePairs(pattern string, pairs []string) (map[string]string, error) {
	if len(pairs)%2 != 0 {
		return nil, &URLError{
			pattern, pairs[len(pairs)-1],
			"has no value: names and values come in pairs",
		}
	}
	values := make(map[string]string, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		if _, twice := values[pairs[i]]; twice {
			return nil, &URLError{pattern, pairs[i], "is given twice"}
		}
		values[pairs[i]] = pairs[i+1]
	}
	return values, nil
}

// part is a piece of a pattern: literal text or a parameter.
type part struct {
	literal string
	name    string // "*" for the wildcard
	rex     *regexp.Regexp
	tail    string // what ends the parameter: the character after it, or a slash
}

// parsePattern reads a pattern as chi does.
func parsePattern(pattern string) (parts []part, err error) {
	if !strings.HasPrefix(pattern, "/") || strings.HasPrefix(pattern, "//") {
		return nil, &URLError{pattern, "", "a pattern begins with one slash"}
	}
	seen := make(map[string]bool)
	for rest := pattern; rest != ""; {
		i := strings.IndexAny(rest, "{*")
		if i < 0 {
			return append(parts, part{literal: rest}), nil
		}
		if i > 0 {
			parts = append(parts, part{literal: rest[:i]})
		}
		if rest[i] == '*' {
			if rest[i+1:] != "" {
				return nil, &URLError{pattern, "*", "must be the end of the pattern"}
			}
			return append(parts, part{name: "*"}), nil
		}
		end := closing(rest[i:])
		if end < 0 {
			return nil, &URLError{pattern, "", "a { is not closed"}
		}
		p := part{tail: "/"}
		name, expr, hasExpr := strings.Cut(rest[i+1:i+end], ":")
		p.name = name
		rest = rest[i+end+1:]
		if rest != "" {
			p.tail = rest[:1]
		}
		if name == "" || name == "*" || seen[name] {
			return nil, &URLError{pattern, name, "is no name, or not the only one of it"}
		}
		seen[name] = true
		if hasExpr {
			if p.rex, err = regexp.Compile(anchored(expr)); err != nil {
				return nil, &URLError{pattern, name, "its regular expression does not compile"}
			}
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// anchored is how chi completes an expression, alternatives and all.
func anchored(expr string) string {
	if expr == "" {
		return ""
	}
	if expr[0] != '^' {
		expr = "^" + expr
	}
	if expr[len(expr)-1] != '$' {
		expr += "$"
	}
	return expr
}

// closing is the index of the brace that closes the one s begins with, -1 if there is none.
func closing(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// fill is the text of a parameter, or what is wrong with its value.
func (p part) fill(value string, given, escapedSlash bool) (text, reason string) {
	if !given {
		return "", "is missing"
	}
	if p.name == "*" {
		if strings.HasPrefix(value, "/") {
			return "", "begins with a slash"
		}
		return escape(value), ""
	}
	text = strings.ReplaceAll(escape(value), "/", "%2F")
	seen := value // by chi
	if escapedSlash {
		seen = text
	}
	switch {
	case value == "":
		return "", "is empty"
	case strings.Contains(seen, p.tail):
		return "", fmt.Sprintf("holds %q, which ends it in the pattern", p.tail)
	case p.rex != nil && !p.rex.MatchString(seen):
		return "", "does not match its regular expression"
	}
	return text, ""
}

// escape is for a path: what net/url itself would make of it, so that chi sees the plain text, and
// slashes stay.
func escape(s string) string { return (&url.URL{Path: s}).EscapedPath() }
