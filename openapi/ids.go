package openapi

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// defaultID is an operationId made of method and path: "getOrdersById" of GET /orders/{id}.
func defaultID(method, path string) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(method))
	if path == "/" {
		b.WriteString("Root")
	}
	for segment := range strings.SplitSeq(path, "/") {
		literal, param, isParam := strings.Cut(segment, "{")
		b.WriteString(camel(literal))
		if isParam {
			b.WriteString("By" + camel(param))
		}
	}
	return b.String()
}

// camel is the letters and digits of s, each word with a capital: "OrderLines" of "order-lines".
func camel(s string) string {
	var b strings.Builder
	up := true
	for _, r := range s {
		switch {
		case r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r):
			up = true
			continue
		case up:
			r = unicode.ToUpper(r)
		}
		up = false
		b.WriteRune(r)
	}
	return b.String()
}

// defaultSummary is in words what a function is called, "Get order" of getOrder, or else what is at
// the path.
func defaultSummary(function, method, path string) string {
	if function == "" {
		return defaultVerb(method) + " " + path
	}
	var b strings.Builder
	runes := []rune(function)
	for i, r := range runes {
		begins := i > 0 && unicode.IsUpper(r) &&
			(!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		acronym := unicode.IsUpper(r) &&
			(i+1 < len(runes) && unicode.IsUpper(runes[i+1]) || i > 0 &&
				unicode.IsUpper(runes[i-1]) && (i+1 == len(runes) || !unicode.IsLower(runes[i+1])))
		switch {
		case r == '_':
			b.WriteRune(' ')
			continue
		case begins:
			b.WriteRune(' ')
		}
		switch {
		case i == 0:
			r = unicode.ToUpper(r)
		case !acronym:
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

func defaultVerb(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead:
		return "Get"
	case http.MethodPut:
		return "Replace"
	case http.MethodPost:
		return "Post to"
	case http.MethodPatch:
		return "Change"
	case http.MethodDelete:
		return "Delete"
	}
	return method[:1] + strings.ToLower(method[1:])
}
