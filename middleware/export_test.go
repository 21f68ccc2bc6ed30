package middleware

// ParseOrigin is parseOrigin, the parser the fuzz target holds against net/url.
func ParseOrigin(s string) (host, reason string) {
	o, reason := parseOrigin(s)
	return o.host, reason
}
