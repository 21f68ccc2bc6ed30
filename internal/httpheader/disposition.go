package httpheader

import (
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Disposition is the value of Content-Disposition for a file name (RFC 6266). What comes before the
// last slash or backslash and all control and formatting characters are cut, so that no name points
// elsewhere or looks like another. A name that is not plain ASCII is sent twice, the second time as
// RFC 5987 encodes it. An empty name is left out. kind is "attachment" or "inline".
func Disposition(kind, name string) string {
	name = strings.ToValidUTF8(name, "_")
	name = strings.Map(func(c rune) rune {
		if c == '\\' {
			return '/'
		}
		if unicode.IsControl(c) || unicode.Is(unicode.Cf, c) || c == '\u2028' || c == '\u2029' {
			return -1
		}
		return c
	}, name)
	if name = path.Base(name); name == "/" || name == "." || name == ".." {
		return kind
	}
	var plain, extended strings.Builder
	ascii := true
	for _, c := range name {
		if c == '"' || c == '%' || c >= utf8.RuneSelf { // what browsers disagree on within quotes
			ascii = false
			plain.WriteByte('_')
			continue
		}
		plain.WriteRune(c)
	}
	value := fmt.Sprintf(`%s; filename="%s"`, kind, plain.String())
	if ascii {
		return value
	}
	for i := range len(name) {
		if c := name[i]; attrChar(c) {
			extended.WriteByte(c)
		} else {
			fmt.Fprintf(&extended, "%%%02X", c)
		}
	}
	return value + "; filename*=UTF-8''" + extended.String()
}

// attrChar is RFC 5987 section 3.2.1.
func attrChar(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' ||
		strings.IndexByte("!#$&+-.^_`|~", c) >= 0
}
