package asgi

import (
	"fmt"
	"net/http"
	"time"
)

// Cookie is a cookie to set. What is left zero is the safe choice: for the whole site, for the
// browser's session, over TLS only, hidden from scripts, and not sent along by other sites' forms.
type Cookie struct {
	Name   string
	Value  string // bytes that RFC 6265 section 4.1.1 allows; encode anything else
	Path   string // default "/"
	Domain string // default: the host alone, without its subdomains
	// rounded down to seconds, at least one; 0 means until the browser closes, negative deletes the
	// cookie
	MaxAge time.Duration

	Insecure bool          // sent over plain HTTP too
	Script   bool          // readable by scripts in the page
	SameSite http.SameSite // default Lax; None is refused together with Insecure, as browsers do
}

func (c Cookie) header() (string, error) {
	hc := http.Cookie{
		Name: c.Name, Value: c.Value, Path: c.Path, Domain: c.Domain,
		Secure: !c.Insecure, HttpOnly: !c.Script, SameSite: c.SameSite,
	}
	if hc.Path == "" {
		hc.Path = "/"
	}
	if hc.SameSite == 0 {
		hc.SameSite = http.SameSiteLaxMode
	}
	switch {
	case c.MaxAge < 0:
		hc.MaxAge = -1
	case c.MaxAge > 0:
		hc.MaxAge = max(1, int(c.MaxAge/time.Second)) // 0 would mean none
	}
	if err := hc.Valid(); err != nil {
		return "", fmt.Errorf("asgi: cookie %q: %w", c.Name, err)
	}
	if hc.SameSite == http.SameSiteNoneMode && c.Insecure {
		return "", fmt.Errorf("asgi: cookie %q: SameSite=None needs a secure cookie", c.Name)
	}
	return hc.String(), nil
}

// SetCookie adds a cookie to the answer of a request. The error says what is wrong with the cookie.
func SetCookie(w http.ResponseWriter, c Cookie) error {
	header, err := c.header()
	if err == nil {
		w.Header().Add("Set-Cookie", header)
	}
	return err
}
