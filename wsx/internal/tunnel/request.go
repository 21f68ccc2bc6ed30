package tunnel

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// Request makes the request that a tunnelled message asks for, with those of its headers that are
// allowed. Who asks is what the request says that was upgraded: its Host, Cookie, address and TLS.
// The error is a [*MalformedError].
func Request(ctx context.Context, upgrade *http.Request, allowed *AllowList,
	t *wire.TunnelRequest,
) (*http.Request, error) {
	method := string(t.Method)
	if !isToken(method) {
		return nil, malformed("method is not an HTTP method")
	}
	uri, err := requestURI(string(t.Path), t.Query)
	if err != nil {
		return nil, err
	}
	u, parseErr := url.ParseRequestURI(uri) // as net/http's server does
	if parseErr != nil {
		return nil, malformed("path and query are no URL")
	}
	header, err := allowed.Read(t.Headers)
	if err != nil {
		return nil, err
	}
	inherit(header, upgrade.Header)
	body, err := requestBody(t.Data, header)
	if err != nil {
		return nil, err
	}
	r := &http.Request{
		Method: method, URL: u, RequestURI: uri, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: http.NoBody, ContentLength: int64(len(body)),
		Host: upgrade.Host, RemoteAddr: upgrade.RemoteAddr, TLS: upgrade.TLS,
	}
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return r.WithContext(ctx), nil
}

// MalformedError says what of a message makes no request, for the client to read.
type MalformedError struct{ Text string }

func (e *MalformedError) Error() string { return e.Text }

func malformed(text string) error { return &MalformedError{text} }

// requestURI is the path and query of a request line. A path is taken as it would stand there,
// percent-encoded, and refused when it is more than a path: what a proxy, a router and a file
// system might each read in a way of their own.
func requestURI(path string, query []byte) (string, error) {
	if !strings.HasPrefix(path, "/") || !visible(path, `?#\`) {
		return "", malformed("path is not an absolute path, percent-encoded, without a query")
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return "", malformed("path is not percent-encoded")
	}
	if strings.HasPrefix(decoded, "//") || strings.ContainsFunc(decoded, isControl) ||
		strings.Contains(decoded, `\`) {
		return "", malformed("path holds what no path may")
	}
	for segment := range strings.SplitSeq(decoded, "/") {
		if segment == "." || segment == ".." {
			return "", malformed("path has dot segments")
		}
	}
	encoded, err := rawQuery(query)
	if err != nil || encoded == "" {
		return path, err
	}
	return path + "?" + encoded, nil
}

// rawQuery is the query, a string as it stands in a URL or an object of strings or arrays of them.
func rawQuery(query []byte) (string, error) {
	if query == nil {
		return "", nil
	}
	var raw string
	if query[0] == '"' && json.Unmarshal(query, &raw) == nil {
		if !visible(raw, "#") {
			return "", malformed("query is not percent-encoded")
		}
		return raw, nil
	}
	values, ok := manyStrings(query)
	if !ok {
		return "", malformed("query is neither a string nor an object of strings or arrays of them")
	}
	return url.Values(values).Encode(), nil
}

// manyStrings reads an object of strings or arrays of them.
func manyStrings(object []byte) (map[string][]string, bool) {
	var members map[string]jsontext.Value
	if object[0] != '{' || json.Unmarshal(object, &members) != nil {
		return nil, false
	}
	all := make(map[string][]string, len(members))
	for name, value := range members {
		switch value.Kind() {
		case '"':
			var one string
			if json.Unmarshal(value, &one) != nil {
				return nil, false
			}
			all[name] = []string{one}
		case '[':
			var elements []jsontext.Value
			if json.Unmarshal(value, &elements) != nil {
				return nil, false
			}
			all[name] = make([]string, len(elements))
			for i, element := range elements {
				if element.Kind() != '"' || json.Unmarshal(element, &all[name][i]) != nil {
					return nil, false
				}
			}
		default:
			return nil, false
		}
	}
	return all, true
}

// requestBody is data as bytes: the JSON itself; or, where the request has another content type,
// what an answer of the tunnel would have made that JSON of: the text of a string, the bytes of
// {"base64":…}.
func requestBody(data []byte, header http.Header) ([]byte, error) {
	if data == nil {
		return nil, nil
	}
	contentType := header.Get("Content-Type")
	if contentType == "" {
		header.Set("Content-Type", "application/json")
	} else if !isJSON(contentType) {
		var text string
		if data[0] == '"' && json.Unmarshal(data, &text) == nil {
			return []byte(text), nil
		}
		var in struct {
			Base64 *string `json:"base64"`
		}
		if typed.Decode(data, &in) == nil && in.Base64 != nil {
			raw, err := base64.StdEncoding.DecodeString(*in.Base64)
			if err != nil {
				return nil, malformed("data is not base64")
			}
			return raw, nil
		}
	}
	return bytes.Clone(data), nil // the handler may keep it
}

// isJSON reports whether a content type is JSON: application/json or one that ends in +json (RFC
// 6839).
func isJSON(contentType string) bool {
	name, _, err := mime.ParseMediaType(contentType)
	return err == nil && (name == "application/json" || strings.HasSuffix(name, "+json"))
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

// visible reports whether s holds neither white space nor control characters nor any of those
// excluded.
func visible(s, excluded string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return isControl(c) || c == ' ' }) &&
		!strings.ContainsAny(s, excluded)
}
