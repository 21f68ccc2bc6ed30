package asgi

import (
	"net/http"
	"strings"
)

// Headers are the headers of a request. It is an http.Header: names are in canonical form, and a conversion gives all the
// methods of one. It is safe for concurrent reading.
type Headers http.Header

// Get is the first value of a header, empty if there is none. The name is case-insensitive.
func (h Headers) Get(name string) string { return http.Header(h).Get(name) }

// Values are all values of a header in the order they came, nil if there is none. They are not copied.
func (h Headers) Values(name string) []string { return http.Header(h).Values(name) }

// Has reports whether the header was sent, be it empty.
func (h Headers) Has(name string) bool { return len(h.Values(name)) > 0 }

// List is a header that is a comma-separated list (RFC 9110 section 5.6.1), over all its lines. Space around the
// members is cut, empty members are left out, and a comma within a quoted string separates nothing. Members are not
// unquoted.
func (h Headers) List(name string) []string {
	var list []string
	for _, line := range h.Values(name) {
		start, quoted := 0, false
		for i := 0; i <= len(line); i++ {
			if i < len(line) {
				switch {
				case quoted && line[i] == '\\' && i+1 < len(line):
					i++ // what is escaped ends nothing
					continue
				case line[i] == '"':
					quoted = !quoted
					continue
				case quoted || line[i] != ',':
					continue
				}
			}
			if member := strings.Trim(line[start:i], " \t"); member != "" {
				list = append(list, member)
			}
			start = i + 1
		}
	}
	return list
}
