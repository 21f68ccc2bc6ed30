package wsconn

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Policy says from which origins an upgrade is accepted. The zero value accepts the server's own
// and requests without an Origin, which no browser sends.
type Policy struct {
	// Origins are accepted beside the server's own. Each is a serialized origin (RFC 6454 section
	// 6.2), such as https://app.example or http://localhost:5173, compared byte for byte.
	Origins []string
	// Hosts, if any, are the names that the server goes by, with a port or without (then any port):
	// an origin is the server's own only when the Host header names one of them. It is what stops
	// DNS rebinding.
	Hosts []string
	// Required refuses a request without an Origin. Servers that authenticate by cookie set it.
	Required bool
}

// Validate reports the first entry that could never match as it is written.
func (p *Policy) Validate() error {
	for _, o := range p.Origins {
		if _, _, _, ok := splitOrigin(o); !ok {
			return fmt.Errorf(
				"wsconn: %q is not a serialized origin such as https://app.example (lower case, "+
					"no path, no default port)", o)
		}
	}
	for _, h := range p.Hosts {
		if _, _, ok := splitHost(h); !ok {
			return fmt.Errorf(
				"wsconn: %q is not a host name such as app.example or app.example:8443", h)
		}
	}
	return nil
}

// Allows reports whether r may be upgraded.
func (p *Policy) Allows(r *http.Request) bool {
	switch values := r.Header["Origin"]; len(values) {
	case 0:
		return !p.Required
	case 1:
		return values[0] != "null" && slices.Contains(p.Origins, values[0]) || p.own(r, values[0])
	default:
		return false // a second header is nobody's mistake
	}
}

// explain says why a request is not allowed: to the client, and to who configures the server.
func (p *Policy) explain(r *http.Request) (detail string, err error) {
	switch values := r.Header["Origin"]; {
	case len(values) == 0:
		return "A handshake without an Origin is not taken here.",
			errors.New("a handshake without an Origin, which RequireOrigin refuses")
	case len(values) > 1:
		return "The handshake has more than one Origin.",
			errors.New("a handshake with more than one Origin")
	default:
		const most = 200 // bytes that are quoted
		origin, host := values[0][:min(len(values[0]), most)], r.Host[:min(len(r.Host), most)]
		return fmt.Sprintf(
				"The origin %+q may not connect: the request is for the host %+q, and the origin "+
					"is not listed.", origin, host),
			fmt.Errorf(
				"the origin %+q may not connect: list it in AllowedOrigins; or, where it is the "+
					"server's own, let the proxy pass on the Host that browsers send (here it is "+
					"%+q), and list it in Hosts where there are any", origin, host)
	}
}

func (p *Policy) own(r *http.Request, origin string) bool {
	scheme, name, port, ok := splitOrigin(origin)
	if !ok || scheme != "https" && (scheme != "http" || r.TLS != nil) {
		// behind a proxy an https origin meets plain HTTP; the reverse is an attack
		return false
	}
	hostName, hostPort, ok := splitHost(r.Host)
	if !ok || name != strings.ToLower(hostName) || port != explicit(scheme, hostPort) {
		return false
	}
	return len(p.Hosts) == 0 || slices.ContainsFunc(p.Hosts, func(h string) bool {
		n, pt, ok := splitHost(h)
		return ok && strings.ToLower(n) == name && (pt == "" || explicit(scheme, pt) == port)
	})
}

// explicit is the port as an origin shows it: none where it is the scheme's default.
func explicit(scheme, port string) string {
	if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		return ""
	}
	return port
}

// splitOrigin takes a serialized origin apart. ok is false for anything that a browser would not
// have written so: a path, a user, a default port, an upper-case letter.
func splitOrigin(origin string) (scheme, name, port string, ok bool) {
	scheme, rest, found := strings.Cut(origin, "://")
	if !found || scheme == "" || origin != strings.ToLower(origin) ||
		strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+-.") != "" {
		return "", "", "", false
	}
	name, port, ok = splitHost(rest)
	if !ok || port != explicit(scheme, port) {
		return "", "", "", false
	}
	return scheme, name, port, true
}

// splitHost splits name[:port]; the name is letters, digits, dots, hyphens and underscores, or an
// IPv6 address in brackets.
func splitHost(host string) (name, port string, ok bool) {
	name = host
	if end := strings.IndexByte(host, ']'); end >= 0 {
		if host[0] != '[' || strings.Trim(host[1:end], "0123456789abcdefABCDEF:.") != "" ||
			!strings.Contains(host[1:end], ":") {
			return "", "", false
		}
		name, port = host[:end+1], host[end+1:]
	} else {
		if i := strings.IndexByte(host, ':'); i >= 0 {
			name, port = host[:i], host[i:]
		}
		for i := range len(name) {
			if c := name[i]; !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c &&
				c <= '9' || c == '.' || c == '-' || c == '_') {
				return "", "", false
			}
		}
	}
	if name == "" {
		return "", "", false
	}
	if port == "" {
		return name, "", true
	}
	port = port[1:]
	n, err := strconv.ParseUint(port, 10, 16)
	if host[len(name)] != ':' || err != nil || n == 0 || port[0] == '0' || port[0] == '+' {
		return "", "", false
	}
	return name, port, true
}
