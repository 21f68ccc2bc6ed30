package tunnel

import (
	"bytes"
	"encoding/base64"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// AppendStatus appends the members status and headers.
func AppendStatus(dst []byte, status int, header http.Header) []byte {
	dst = strconv.AppendInt(append(dst, `,"status":`...), int64(status), 10)
	dst = append(dst, `,"headers":{`...)
	first := true
	for _, name := range slices.Sorted(maps.Keys(header)) {
		lower, values := strings.ToLower(name), header[name]
		if len(values) == 0 || slices.Contains(hopByHop, lower) ||
			strings.HasPrefix(name, http.TrailerPrefix) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(appendQuoted(dst, lower), ':')
		if lower != "set-cookie" {
			dst = appendQuoted(dst, strings.Join(values, ", "))
			continue
		}
		for i, value := range values { // whose values hold commas
			dst = append(dst, "[,"[min(i, 1)])
			dst = appendQuoted(dst, value)
		}
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// hopByHop are the response headers that mean something to a connection of HTTP only (RFC 9110
// section 7.6.1).
var hopByHop = []string{
	"connection", "keep-alive", "proxy-connection", "te", "trailer",
	"transfer-encoding", "upgrade",
}

// appendData appends a body: as it is when it is JSON, else as a string, else as base64.
func appendData(dst []byte, contentType string, body []byte) []byte {
	switch {
	case isJSON(contentType) && wire.Valid(body):
		return append(dst, bytes.TrimSpace(body)...) // encoders end with a newline
	case utf8.Valid(body):
		return appendQuoted(dst, body)
	default:
		dst = base64.StdEncoding.AppendEncode(append(dst, `{"base64":"`...), body)
		return append(dst, `"}`...)
	}
}

func appendQuoted[T string | []byte](dst []byte, s T) []byte {
	dst, _ = jsontext.AppendQuote(dst, s) // the error tells of bytes that were replaced
	return dst
}
