package asgi

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Redirect answers 303 (See Other) with a place on this server: a path, with query and fragment if need be. Anything a
// browser could take for another host is answered as 400, so that a target from the request ("?next=…") is safe: it must
// begin with one "/", and have no second one nor a backslash after it, and no space or control character anywhere.
// Status changes it to 301, 302, 307 or 308.
func Redirect(path string) *Reply {
	p := &Reply{status: http.StatusSeeOther, allows: redirectStatus}
	local := strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "//") && !strings.Contains(path, `\`) && visible(path)
	if _, err := url.Parse(path); err != nil || !local {
		return p.fail(NewHTTPError(http.StatusBadRequest, "The target of the redirect must be a path on this server."))
	}
	return p.Header("Location", asciiURL(path))
}

// RedirectExternal answers 303 (See Other) with any http or https URL. The URL must be the program's own, or checked by
// it: a target from the request would let anyone use this server to send people elsewhere. What is no absolute URL is
// answered as 500.
func RedirectExternal(target string) *Reply {
	p := &Reply{status: http.StatusSeeOther, allows: redirectStatus}
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		!visible(target) || strings.Contains(target, `\`) {
		return p.fail(fmt.Errorf("asgi: %q is not an absolute http or https URL", target))
	}
	return p.Header("Location", asciiURL(target))
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// visible reports that there is no space and no control character: browsers drop tabs and line breaks from a URL before they
// look at it, which makes "/\t/evil.example" another host.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c == 0x7f })
}

// asciiURL percent-encodes what is not ASCII, as a header needs.
func asciiURL(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < 0x80 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
