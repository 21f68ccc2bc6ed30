// Package problem writes RFC 9457 problem details.
//
// It is the one writer of application/problem+json in this module, so that every package answers errors in the same
// shape without importing another.
package problem

import (
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// ContentType is the media type of a problem (RFC 9457 section 3).
const ContentType = "application/problem+json"

// Problem is one problem details object (RFC 9457 section 3.1). Nothing in it is secret: all of it is sent.
type Problem struct {
	Type     string // a URI reference; empty is left out, which means "about:blank"
	Title    string // empty means http.StatusText(Status)
	Status   int    // an HTTP status from 400 to 599; anything else is written as 500
	Detail   string // empty is left out
	Instance string // a URI reference; empty is left out

	// Extensions are written as further members at the top level (RFC 9457 section 3.2).
	// One that bears the name of a member above is left out.
	Extensions map[string]any
}

// MarshalJSONTo writes the members in the order of RFC 9457, then the extensions sorted by name.
func (p Problem) MarshalJSONTo(enc *jsontext.Encoder) error {
	p = p.normal()
	members := struct {
		Type       string         `json:"type,omitempty"`
		Title      string         `json:"title,omitempty"`
		Status     int            `json:"status"`
		Detail     string         `json:"detail,omitempty"`
		Instance   string         `json:"instance,omitempty"`
		Extensions map[string]any `json:",embed"`
	}{p.Type, p.Title, p.Status, p.Detail, p.Instance, nil}
	for name, value := range p.Extensions {
		switch name {
		case "type", "title", "status", "detail", "instance":
			continue
		}
		if members.Extensions == nil {
			members.Extensions = make(map[string]any, len(p.Extensions))
		}
		members.Extensions[name] = value
	}
	return json.MarshalEncode(enc, &members, json.Deterministic(true))
}

func (p Problem) normal() Problem {
	if p.Status < 400 || p.Status > 599 {
		p.Status = http.StatusInternalServerError
	}
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	return p
}

// Write answers with p: its status, its JSON and headers that keep it out of caches and from being sniffed.
// Headers that describe a body already planned (Content-Length, Content-Encoding, ETag, Last-Modified) are
// removed, as http.Error does. The body is left out for a HEAD request. Write is for a response that has not begun.
func Write(w http.ResponseWriter, r *http.Request, p Problem) {
	p = p.normal()
	body, err := json.Marshal(p, jsontext.AllowInvalidUTF8(true))
	if err != nil { // an extension that JSON cannot hold: the problem matters more than its extras
		p.Extensions = nil
		body, _ = json.Marshal(p, jsontext.AllowInvalidUTF8(true))
	}
	h := w.Header()
	for _, name := range [...]string{"Content-Encoding", "Etag", "Last-Modified", "Content-Disposition"} {
		h.Del(name)
	}
	h.Set("Content-Type", ContentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	if r == nil || r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone: nobody is left to tell
	}
}
