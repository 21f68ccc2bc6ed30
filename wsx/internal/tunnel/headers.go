package tunnel

import (
	"net/http"
	"slices"
	"strings"
)

// AllowList is which request headers pass the tunnel.
type AllowList struct {
	names    []string // lower-case
	prefixes []string
}

var defaultHeaders = []string{
	"accept*", "authorization", "content-type", "if-*", "x-request-id",
	"idempotency-key",
}

// NewAllowList returns the list of these headers, in any case; a * at the end stands for any rest.
// nil is accept*, authorization, content-type, if-*, x-request-id and idempotency-key. Whatever the
// list says, headers of one hop never pass, nor those that are the upgrade's to say.
func NewAllowList(list []string) AllowList {
	if list == nil {
		list = defaultHeaders
	}
	var a AllowList
	for _, name := range list {
		name = strings.ToLower(name)
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			a.prefixes = append(a.prefixes, prefix)
		} else {
			a.names = append(a.names, name)
		}
	}
	return a
}

// never are the headers that no list lets pass: of one hop (RFC 9110 section 7.6.1), and those that
// the server itself answers for.
var never = []string{
	"connection", "content-length", "expect", "host", "keep-alive", "proxy-authenticate",
	"proxy-authorization",
	"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
}

func (a *AllowList) allows(name string) bool {
	name = strings.ToLower(name)
	if slices.Contains(never, name) || inherited(name) || strings.HasPrefix(name, "sec-") {
		return false
	}
	return slices.Contains(a.names, name) ||
		slices.ContainsFunc(a.prefixes,
			func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// Read returns those of the message's headers that pass. The error is a [*MalformedError].
func (a *AllowList) Read(headers []byte) (http.Header, error) {
	out := make(http.Header)
	if headers == nil {
		return out, nil
	}
	all, ok := manyStrings(headers)
	if !ok {
		return nil, malformed("headers is not an object of strings or arrays of them")
	}
	for name, values := range all {
		if !isToken(name) {
			return nil, malformed("a header's name is not one")
		}
		for _, value := range values {
			if strings.ContainsFunc(value, func(c rune) bool { return isControl(c) && c != '\t' }) {
				return nil, malformed("a header's value holds control characters")
			}
		}
		key := http.CanonicalHeaderKey(name)
		switch {
		case !a.allows(name):
		case out[key] != nil:
			return nil, malformed("a header occurs twice")
		default:
			for _, value := range values {
				out.Add(key, strings.Trim(value, " \t"))
			}
		}
	}
	return out, nil
}

// inherit adds what the upgrade request says of the client and of the way it came.
func inherit(header, upgrade http.Header) {
	for name, values := range upgrade {
		if inherited(strings.ToLower(name)) {
			header[name] = slices.Clone(values)
		}
	}
}

// inherited reports whether a header, its name in lower case, is the upgrade's and never the
// message's: who asks, from which page (the Fetch standard's Origin and Sec-Fetch-*, by which
// protection against cross-site requests goes), and which way the request came.
func inherited(name string) bool {
	switch name {
	case "cookie", "user-agent", "origin", "referer", "forwarded", "via", "x-real-ip",
		"x-client-ip", "true-client-ip", "cf-connecting-ip":
		return true
	}
	return strings.HasPrefix(name, "x-forwarded-") || strings.HasPrefix(name, "sec-") &&
		!strings.HasPrefix(name, "sec-websocket-")
}
