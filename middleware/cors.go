package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/rs/cors"
)

const (
	defaultMaxAge = 10 * time.Minute
	longestMaxAge = 24 * time.Hour
)

// CORSOptions configures [CORS] and [NewCORS]. The zero value is valid, as is nil, and allows no
// other origin anything.
type CORSOptions struct {
	// AllowedOrigins are the origins that may read answers. Default (empty): none. Each is one of
	//   - an origin as browsers send it (RFC 6454 section 6.2): lower-case "https://app.example" or
	//     "http://localhost:5173", without path, trailing slash or default port; it is compared
	//     byte for byte;
	//   - "https://*.example.com" (with a port if wanted), which stands for every host one label or
	//     more below example.com, not for example.com itself. The domain needs two labels: check
	//     yourself that it is not a public suffix such as "co.uk" or "github.io", below which
	//     anybody can have a host;
	//   - "*" as the only one: every origin, and then AllowCredentials must be false.
	// "null" and every other pattern are refused.
	AllowedOrigins []string

	// AllowedMethods are the methods a page may use, upper-case. Default (empty): GET, HEAD, POST.
	AllowedMethods []string

	// AllowedHeaders are the request headers a page may set beyond those it always may, in any
	// case. Default (empty): Accept, Content-Type, X-Requested-With. "*" allows all and needs
	// AllowCredentials false.
	AllowedHeaders []string

	// ExposedHeaders are the response headers a page may read beyond those it always may. Default
	// (empty): no more. "*" exposes all and needs AllowCredentials false.
	ExposedHeaders []string

	// AllowCredentials lets the allowed origins send cookies, HTTP authentication and client
	// certificates. Default: false.
	AllowCredentials bool

	// MaxAge is how long a browser may keep the answer to a preflight, in whole seconds. Default
	// (0): 10 minutes. At most 24 hours. Negative: not at all.
	MaxAge time.Duration
}

// CORSError is one thing wrong with [CORSOptions].
type CORSError struct {
	Field  string // the name of the field in CORSOptions
	Value  string // the value that is refused
	Reason string // what is wrong with it
}

// Error implements error.
func (e *CORSError) Error() string {
	return fmt.Sprintf("middleware: CORSOptions.%s: %q: %s", e.Field, e.Value, e.Reason)
}

// CORS is [NewCORS] for use inline: it panics with the error where that returns one, so that a
// mistake shows when the program starts and not as a page that does not work.
func CORS(o *CORSOptions) func(http.Handler) http.Handler {
	mw, err := NewCORS(o)
	if err != nil {
		panic(err)
	}
	return mw
}

// NewCORS makes a middleware that answers preflights and adds the Access-Control headers of the
// Fetch standard, on github.com/rs/cors with its permissive defaults closed. The error joins a
// [*CORSError] for each thing wrong with o. Nil options allow no other origin anything.
//
// Every response bears "Vary: Origin", whatever the handler does to Vary, so that no cache hands
// one origin's answer to another. A request with an origin that is not allowed is served without
// Access-Control headers: CORS decides who may read an answer, it does not keep requests out.
// Access to private networks is never granted.
//
// With chi it belongs in Use of a router, not in With or Group: there chi answers the OPTIONS of a
// preflight with 405 before it (chiadapter.Check finds this).
func NewCORS(o *CORSOptions) (func(http.Handler) http.Handler, error) {
	if o == nil {
		o = &CORSOptions{}
	}
	exact, wild, errs := parseAllowed(o.AllowedOrigins, o.AllowCredentials)
	errs = append(errs, checkMethods(o.AllowedMethods)...)
	errs = append(errs, checkNames("AllowedHeaders", o.AllowedHeaders, o.AllowCredentials)...)
	errs = append(errs, checkNames("ExposedHeaders", o.ExposedHeaders, o.AllowCredentials)...)
	if o.MaxAge > longestMaxAge {
		errs = append(errs,
			&CORSError{
				"MaxAge", o.MaxAge.String(),
				"at most 24h, which is the most any browser honours",
			})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	conf := cors.Options{
		AllowedMethods:   slices.Clone(o.AllowedMethods),
		AllowedHeaders:   slices.Clone(o.AllowedHeaders),
		ExposedHeaders:   slices.Clone(o.ExposedHeaders),
		AllowCredentials: o.AllowCredentials,
		MaxAge:           maxAgeSeconds(o.MaxAge),
	}
	if len(o.AllowedOrigins) == 1 && o.AllowedOrigins[0] == "*" {
		conf.AllowedOrigins = []string{"*"}
	} else {
		// rs/cors takes an empty list for everybody and compares without case: it is asked to do
		// neither
		conf.AllowOriginVaryRequestFunc = func(r *http.Request, _ string) (bool, []string) {
			// all of them: rs/cors would judge the first and echo every one
			sent := r.Header["Origin"]
			return len(sent) == 1 &&
				(slices.Contains(exact, sent[0]) || matchesAny(wild, sent[0])), nil
		}
	}
	return (&corsPolicy{cors.New(conf)}).wrap, nil
}

func maxAgeSeconds(d time.Duration) int {
	switch {
	case d == 0:
		return int(defaultMaxAge / time.Second)
	case d < time.Second:
		return -1
	}
	return int(d / time.Second)
}

// parseAllowed sorts the allowed origins into exact ones and wildcards, the latter with their
// domain as host, a dot before it.
func parseAllowed(allowed []string, credentials bool) (exact []string, wild []origin,
	errs []error,
) {
	refuse := func(value, reason string) {
		errs = append(errs, &CORSError{"AllowedOrigins", value, reason})
	}
	for _, s := range allowed {
		if s == "*" {
			switch {
			case credentials:
				refuse(s,
					"credentials for every origin would give every site its visitors' sessions; "+
						"list the origins")
			case len(allowed) > 1:
				refuse(s, "stands for every origin already and must be alone")
			}
			continue
		}
		domain, isWild := strings.CutPrefix(s, "https://*.")
		if !isWild {
			if _, reason := parseOrigin(s); reason != "" {
				refuse(s, reason)
			} else {
				exact = append(exact, s)
			}
			continue
		}
		o, reason := parseOrigin("https://" + domain)
		switch {
		case reason != "":
			refuse(s, reason)
		case !strings.Contains(o.host, "."):
			refuse(s, "a wildcard needs a domain of two labels or more below it")
		case isAddress(o.host):
			refuse(s, "an address has no hosts below it")
		default:
			o.host = "." + o.host
			wild = append(wild, o)
		}
	}
	return exact, wild, errs
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host) // [IPv6] has no dot and was refused before
	return err == nil
}

func matchesAny(wild []origin, sent string) bool {
	for _, w := range wild {
		if !strings.HasPrefix(sent, "https://") || !strings.Contains(sent, w.host) {
			continue // spares parsing what cannot match
		}
		o, reason := parseOrigin(sent)
		if reason == "" && o.port == w.port && strings.HasSuffix(o.host, w.host) {
			return true // parseOrigin left at least one label before the dot
		}
	}
	return false
}

func checkMethods(methods []string) (errs []error) {
	for _, m := range methods {
		var reason string
		switch {
		case m == "*":
			reason = "list the methods"
		case !isToken(m):
			reason = "not a method (RFC 9110 section 9.1)"
		case m != strings.ToUpper(m):
			reason = "methods are case-sensitive: write it in upper case"
		case m == http.MethodConnect || m == http.MethodTrace || m == "TRACK":
			reason = "browsers never send it for a page"
		default:
			continue
		}
		errs = append(errs, &CORSError{"AllowedMethods", m, reason})
	}
	return errs
}

func checkNames(field string, names []string, credentials bool) (errs []error) {
	for _, name := range names {
		switch {
		case name == "*" && credentials:
			errs = append(errs,
				&CORSError{
					field, name,
					"with credentials it has no meaning to browsers; list the headers",
				})
		case !isToken(name):
			errs = append(errs, &CORSError{field, name, "not a header name (RFC 9110 section 5.1)"})
		}
	}
	return errs
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// corsPolicy is a type with a method, not a closure, because chiadapter knows a CORS middleware by
// the method's name.
type corsPolicy struct{ cors *cors.Cors }

func (p *corsPolicy) wrap(next http.Handler) http.Handler {
	mustServe("CORS", next)
	return p.cors.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		vary := new(commitWriter)
		vary.Init(w)
		vary.Before(func(int) { varyOrigin(w.Header()) })
		next.ServeHTTP(vary, r)
		if !vary.Committed() {
			varyOrigin(w.Header())
		}
	}))
}

// varyOrigin puts Origin back into Vary where a handler set Vary anew.
func varyOrigin(h http.Header) {
	for _, value := range h["Vary"] {
		for field := range strings.SplitSeq(value, ",") {
			if field = strings.TrimSpace(field); field == "*" ||
				strings.EqualFold(field, "Origin") {
				return
			}
		}
	}
	h.Add("Vary", "Origin")
}
