// Package requestid says which request ids this module takes from whom, in one place for whoever
// makes, logs or sends one.
package requestid

import (
	"net/http"
	"strings"
)

// Header is the header that bears the id, of requests and of responses.
const Header = "X-Request-Id"

// maxOwn is how many bytes an id of this process's own may have: a host name and what chi puts
// behind it.
const maxOwn = 300

// Sent reports whether an id that came with a request is taken: [A-Za-z0-9-]{1,64}, so that it can
// neither forge a log line nor fill the log, or the form that chi's middleware.RequestID gives its
// ids, host/random-000001, which a chi app in front sends on.
func Sent(id string) bool {
	if plain(id) {
		return id != "" && len(id) <= 64
	}
	host, rest, ok := strings.Cut(id, "/")
	random, count, counted := strings.Cut(rest, "-")
	return ok && counted && Own(host) && len(random) == 10 && plain(random) && len(count) >= 6 &&
		len(count) <= 20 && digits(count)
}

// Own reports whether an id that a middleware of this process has chosen is taken: 1 to 300
// letters, digits and marks that stand for nothing in a log. Marks and more bytes than Sent, as
// such a middleware may have taken it from the request.
func Own(id string) bool {
	for i := range len(id) {
		if !alphanumeric(id[i]) && strings.IndexByte("-._/:@+=~", id[i]) < 0 {
			return false
		}
	}
	return id != "" && len(id) <= maxOwn
}

// First is the first id of a header that ok takes, empty if it takes none.
func First(h http.Header, ok func(string) bool) string {
	for _, id := range h[Header] {
		if ok(id) {
			return id
		}
	}
	return ""
}

func plain(s string) bool {
	for i := range len(s) {
		if !alphanumeric(s[i]) && s[i] != '-' {
			return false
		}
	}
	return true
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// Of is the id of a request that is being answered, empty where it has none. The answer's header
// goes first: a middleware that makes ids sets it there, whatever the client sent.
func Of(response http.Header, r *http.Request) string {
	if id := First(response, Own); id != "" {
		return id
	}
	return First(r.Header, Sent)
}
