package middleware

import (
	"net/netip"
	"strconv"
	"strings"
)

// origin is a serialized origin taken apart (RFC 6454 section 6.2). port is empty for the scheme's
// default.
type origin struct {
	scheme, host, port string
}

// parseOrigin takes s apart if it is a serialized origin just as a browser writes it: scheme "://"
// host [ ":" port ], lower-case, no default port, no user, path or anything else, an IPv4 address
// as four plain numbers, an IPv6 address in its canonical form (RFC 5952). Otherwise reason says
// what is wrong with it.
func parseOrigin(s string) (o origin, reason string) {
	scheme, rest, ok := strings.Cut(s, "://")
	switch {
	case s == "null":
		return o, `"null" is the origin of sandboxed frames and local files of anybody`
	case !ok:
		return o, "an origin is scheme://host or scheme://host:port"
	case !validScheme(scheme):
		return o, "the scheme must be lower-case letters, digits, +, - and ., a letter first"
	}
	host, port := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, ']') {
		host, port = rest[:i], rest[i+1:]
		if reason = checkPort(scheme, port); reason != "" {
			return o, reason
		}
	}
	if reason = checkHost(host); reason != "" {
		return o, reason
	}
	return origin{scheme, host, port}, ""
}

func validScheme(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z':
		case i > 0 && (c >= '0' && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return s != ""
}

func checkPort(scheme, port string) string {
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || n == 0 || strconv.FormatUint(n, 10) != port:
		return "the port must be a number from 1 to 65535 without leading zeros"
	case scheme == "http" && n == 80, scheme == "https" && n == 443:
		return "browsers leave the default port out, so this would never match: leave it out"
	}
	return ""
}

func checkHost(host string) string {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		// netip writes ::ffff:1.2.3.4 where browsers write ::ffff:102:304; nobody serves a page
		// there.
		if !ok || err != nil || !addr.Is6() || addr.Is4In6() || addr.Zone() != "" ||
			addr.String() != inner {
			return "the IPv6 address is not in canonical form (RFC 5952)"
		}
		return ""
	}
	if host == "" || len(host) > 253 {
		return "the host must have 1 to 253 characters"
	}
	label := ""
	for label = range strings.SplitSeq(host, ".") {
		if reason := checkLabel(label); reason != "" {
			return reason
		}
	}
	if label[0] >= '0' && label[0] <= '9' {
		// browsers take a host that ends in a number for an IPv4 address
		if addr, err := netip.ParseAddr(host); err != nil || addr.String() != host {
			return "the host ends in a number but is no IPv4 address"
		}
	}
	return ""
}

func checkLabel(label string) string {
	if label == "" || len(label) > 63 {
		return "a label of the host must have 1 to 63 characters"
	}
	for i := range len(label) {
		c := label[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '_':
		case c >= 'A' && c <= 'Z':
			return "the host must be lower-case"
		case c == '*':
			return "a wildcard may only be the whole first label of an https origin, as in " +
				"https://*.example.com"
		case c >= 0x80:
			return "the host must be in ASCII form (punycode)"
		default:
			return "the host may only hold letters, digits, -, _ and . (no path, no user, no " +
				"trailing slash)"
		}
	}
	return ""
}
