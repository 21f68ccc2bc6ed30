package httpheader

import (
	"fmt"
	"strings"
)

// ASCII percent-encodes what is not ASCII in a URL, byte by byte.
func ASCII(url string) string {
	var b strings.Builder
	for i := range len(url) {
		if c := url[i]; c < 0x80 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
