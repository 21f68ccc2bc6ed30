package asgi

import (
	"net"
	"net/netip"
	"strconv"
)

// Address is a network peer. The zero value is an unknown one.
type Address struct {
	Host string // an IP address without brackets, or what the network names its peers by; empty if unknown
	Port int    // 0 if unknown, or if the network has none
}

// ParseAddress reads "host:port", "[ip6]:port", a bare IP address as chi's RealIP leaves it, or any other name, which becomes
// the host. It never fails.
func ParseAddress(s string) Address {
	if host, text, err := net.SplitHostPort(s); err == nil {
		if port, err := strconv.ParseUint(text, 10, 16); err == nil {
			return Address{Host: host, Port: int(port)}
		}
	}
	if len(s) > 1 && s[0] == '[' && s[len(s)-1] == ']' {
		s = s[1 : len(s)-1]
	}
	return Address{Host: s}
}

// IP is the host as an IP address, IPv4 in its own form; false if it is none.
func (a Address) IP() (netip.Addr, bool) {
	ip, err := netip.ParseAddr(a.Host)
	return ip.Unmap(), err == nil
}

// String is host:port, or the host alone where the port is unknown.
func (a Address) String() string {
	if a.Port == 0 {
		return a.Host
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}
