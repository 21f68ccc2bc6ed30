package openapi

import "strings"

// template is a route's pattern as OpenAPI has it.
type template struct {
	path   string // "/orders/{id}"
	shape  string // without the names: "/orders/{}"
	params []pathParam
}

type pathParam struct {
	of      string // its name in the pattern
	name    string
	pattern string // a regular expression, "" is none
	rest    bool   // it may hold slashes
}

// join is the pattern of what a handler serves below its route. One that is mounted serves the
// route's own path with and without a slash.
func join(pattern, below string, mounted bool) string {
	if below == "" && !mounted {
		return pattern
	}
	base := strings.TrimSuffix(strings.TrimSuffix(pattern, "*"), "/")
	if below == "/" && mounted {
		below = ""
	}
	return base + below
}

// parsePattern reads a pattern of chi, "/orders/{id:[0-9]+}/*", or of http.ServeMux,
// "/orders/{id}/{rest...}".
func parsePattern(pattern string) template {
	var t template
	var path, shape strings.Builder
	rest := pattern
	for i := strings.IndexAny(rest, "{*"); i >= 0; i = strings.IndexAny(rest, "{*") {
		path.WriteString(rest[:i])
		shape.WriteString(rest[:i])
		rest = rest[i:]
		p := pathParam{of: "*", name: "path", rest: true}
		if rest[0] == '*' {
			rest = rest[1:]
		} else {
			end := closing(rest)
			var name string
			name, rest = rest[1:end], rest[min(end+1, len(rest)):]
			name, p.pattern, _ = strings.Cut(name, ":")
			if name == "$" { // http.ServeMux: the path ends here
				continue
			}
			p.name, p.rest = strings.CutSuffix(name, "...")
			p.of = p.name
		}
		for t.has(p.name) {
			p.name += "_"
		}
		t.params = append(t.params, p)
		path.WriteString("{" + p.name + "}")
		shape.WriteString("{}")
	}
	t.path, t.shape = path.String()+rest, shape.String()+rest
	if t.path == "" {
		t.path, t.shape = "/", "/"
	}
	return t
}

func (t *template) has(name string) bool {
	for _, p := range t.params {
		if p.name == name {
			return true
		}
	}
	return false
}

// closing is the index of the brace that closes the one s begins with, the end of s where there is
// none.
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
	return len(s)
}

// ecma is the expression as JSON Schema has it, anchored as chi does, "" where it has something
// that ECMA-262 lacks.
func (p pathParam) ecma() string {
	if p.pattern == "" {
		return ""
	}
	for _, own := range [...]string{"(?", `\A`, `\z`, `\Q`, `\C`, `\a`, `\p`, `\P`, `\x{`, "[[:"} {
		if strings.Contains(strings.ReplaceAll(p.pattern, "(?:", "("), own) {
			return ""
		}
	}
	anchored := p.pattern
	if anchored[0] != '^' {
		anchored = "^" + anchored
	}
	if anchored[len(anchored)-1] != '$' {
		anchored += "$"
	}
	return anchored
}
