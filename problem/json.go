package problem

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/input"
)

// members are those of a problem (RFC 9457 section 3.1), this package's own, and all others.
type members struct {
	Type       string                    `json:"type,omitempty"`
	Title      string                    `json:"title,omitempty"`
	Status     int                       `json:"status"`
	Detail     string                    `json:"detail,omitempty"`
	Instance   string                    `json:"instance,omitempty"`
	Code       string                    `json:"code,omitempty"`
	RetryAfter float64                   `json:"retry_after,omitzero"` // seconds
	Fields     []Field                   `json:"errors,omitempty"`
	Extensions map[string]jsontext.Value `json:",embed"`
}

// isMember reports whether an extension would have the name of a member with a field of its own.
func isMember(name string) bool {
	switch name {
	case "type", "title", "status", "detail", "instance", "code", "retry_after":
		return true
	}
	return false
}

// MarshalJSONTo writes the problem: the members in the order of RFC 9457, then "code",
// "retry_after" in seconds and "errors", then the extensions sorted by name. An extension that JSON
// cannot hold is an error.
func (e *Error) MarshalJSONTo(enc *jsontext.Encoder) error {
	m := members{
		Type: e.Type, Title: e.Title, Status: e.StatusCode(), Detail: e.Detail,
		Instance: e.Instance, Code: e.Code,
		RetryAfter: max(e.RetryAfter, 0).Seconds(), Fields: e.Fields,
	}
	if m.Title == "" {
		m.Title = http.StatusText(m.Status)
	}
	if len(m.Fields) > 0 &&
		slices.ContainsFunc(m.Fields, func(f Field) bool { return f.In == "" }) {
		m.Fields = slices.Clone(m.Fields)
		for i := range m.Fields {
			if m.Fields[i].In == "" {
				m.Fields[i].In = "body"
			}
		}
	}
	for name, value := range e.Extensions {
		if isMember(name) || name == "errors" && len(m.Fields) > 0 {
			continue
		}
		raw, err := json.Marshal(value, enc.Options(), jsontext.Multiline(false),
			json.WithMarshalers(input.WriteDuration()))
		if err != nil {
			return err
		}
		if m.Extensions == nil {
			m.Extensions = make(map[string]jsontext.Value, len(e.Extensions))
		}
		m.Extensions[name] = raw
	}
	return json.MarshalEncode(enc, &m, json.Deterministic(true))
}

// Encode is the problem as JSON, whatever it holds: an extension that JSON cannot hold is left out,
// and bytes that are no UTF-8 are replaced.
func (e *Error) Encode() []byte {
	body, err := json.Marshal(e)
	if err != nil {
		sound := *e
		sound.Extensions = maps.Clone(e.Extensions)
		maps.DeleteFunc(sound.Extensions, func(_ string, value any) bool {
			_, err := json.Marshal(value, jsontext.AllowInvalidUTF8(true))
			return err != nil
		})
		if body, err = json.Marshal(&sound, jsontext.AllowInvalidUTF8(true)); err != nil {
			// two names that became one
			sound.Extensions = nil
			body, _ = json.Marshal(&sound, jsontext.AllowInvalidUTF8(true))
		}
	}
	return body
}

// UnmarshalJSONFrom reads what MarshalJSONTo wrote, and any other problem of RFC 9457. Extensions
// become what JSON is in an any, but that an integer which a float64 would change is an int64 or a
// uint64, and what has a number that none of them holds a jsontext.Value; a member "errors" that is
// not a list of [Field]s is one of them.
func (e *Error) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	var m struct {
		members
		Fields jsontext.Value `json:"errors,omitempty"`
	}
	if err := json.UnmarshalDecode(dec, &m); err != nil {
		return err
	}
	*e = Error{
		Status: m.Status, Code: m.Code, Type: m.Type, Title: m.Title, Detail: m.Detail,
		Instance:   m.Instance,
		RetryAfter: time.Duration(math.Round(m.RetryAfter * float64(time.Second))),
	}
	if e.Title == http.StatusText(e.Status) {
		e.Title = ""
	}
	if len(m.Fields) > 0 && json.Unmarshal(m.Fields, &e.Fields) != nil {
		e.Fields = nil
		if m.Extensions == nil {
			m.Extensions = make(map[string]jsontext.Value, 1)
		}
		m.Extensions["errors"] = m.Fields
	}
	for _, name := range slices.Sorted(maps.Keys(m.Extensions)) {
		var value any
		if json.Unmarshal(m.Extensions[name], &value, json.WithUnmarshalers(input.ExactAny())) !=
			nil {
			// it has a number that no float64 holds
			value = m.Extensions[name].Clone()
		}
		if e.Extensions == nil {
			e.Extensions = make(map[string]any, len(m.Extensions))
		}
		e.Extensions[name] = value
	}
	return nil
}
