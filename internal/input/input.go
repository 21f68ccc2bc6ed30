// Package input judges what comes from outside in the same way at every door of this module: what
// is JSON, how deep it may nest, and what its numbers and durations are in Go.
package input

import (
	"bytes"
	"mime"
	"net/http"
	"strings"
)

// MaxDepth is how many levels deep JSON may nest where no option says otherwise.
const MaxDepth = 32

// IsJSON reports whether a header announces JSON in UTF-8: exactly one Content-Type,
// application/json or +json.
func IsJSON(h http.Header) bool {
	// No media type is no JSON: a page of another site can send such a body without the browser
	// asking first.
	value := h["Content-Type"]
	if len(value) != 1 {
		return false
	}
	if value[0] == "application/json" {
		return true
	}
	mediaType, params, err := mime.ParseMediaType(value[0])
	if err != nil || mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json") {
		return false
	}
	charset := params["charset"]
	return charset == "" || strings.EqualFold(charset, "utf-8")
}

// NeedsPreflight reports whether a browser asks first (CORS preflight) before a page of another
// site may send a body with this header: whether it has one Content-Type that is not among those
// any form can send (Fetch standard, "CORS-safelisted request-header").
func NeedsPreflight(h http.Header) bool {
	value := h["Content-Type"]
	if len(value) != 1 {
		return false
	}
	mediaType, _, err := mime.ParseMediaType(value[0])
	if err != nil {
		return false // what a browser makes of it is its own affair
	}
	switch mediaType {
	case "application/x-www-form-urlencoded", "multipart/form-data", "text/plain":
		return false
	}
	return true
}

// NestsDeeper reports whether body nests arrays and objects deeper than limit. Few bodies have as
// many brackets at all.
func NestsDeeper(body []byte, limit int) bool {
	if bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) <= limit {
		return false
	}
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
