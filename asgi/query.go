package asgi

import (
	"net/http"
	"net/url"
	"time"
)

// QueryParams are decoded names and values of a URL's query or of a form. The zero value is empty. It is safe for
// concurrent reading.
//
// The typed getters return the default where the name is missing, and otherwise the value or an *HTTPError for the client: 422
// with the name and what the value must be, when it does not parse or is given more than once; 400 when
// the query as a whole is malformed.
type QueryParams struct {
	values url.Values
	in     string // "query" or "form"
	err    error
}

// ParseQuery decodes a raw query, at most 10000 pairs. What is wrong in it is told by Err and the typed getters; the
// pairs that are well formed are there nevertheless.
func ParseQuery(raw string) QueryParams { return parsePairs(raw, "query") }

func parsePairs(raw, in string) QueryParams {
	if raw == "" {
		return QueryParams{in: in}
	}
	values, err := url.ParseQuery(raw)
	if err != nil {
		err = &HTTPError{Status: http.StatusBadRequest, Detail: "The " + in + " is not well formed.", Err: err}
	}
	return QueryParams{values: values, in: in, err: err}
}

// Err is nil, or the *HTTPError (400) that says the query is malformed.
func (q QueryParams) Err() error { return q.err }

// Has reports whether the name is there, be its value empty.
func (q QueryParams) Has(name string) bool { return q.values.Has(name) }

// Get is the first value of the name, empty if there is none.
func (q QueryParams) Get(name string) string { return q.values.Get(name) }

// Values are all values of the name in their order, nil if there is none. They are not copied.
func (q QueryParams) Values(name string) []string { return q.values[name] }

// All are the names with their values. They are not copied.
func (q QueryParams) All() url.Values { return q.values }

// String is the one value of the name, def if there is none.
func (q QueryParams) String(name, def string) (string, error) {
	return oneParam(q, name, def, func(s string) (string, string) { return s, "" })
}

// Int is a decimal integer, def if there is none.
func (q QueryParams) Int(name string, def int) (int, error) {
	return oneParam(q, name, def, func(s string) (int, string) {
		n, detail := parseInt(s, 0)
		return int(n), detail
	})
}

// Float is a finite number, def if there is none.
func (q QueryParams) Float(name string, def float64) (float64, error) {
	return oneParam(q, name, def, func(s string) (float64, string) { return parseFloat(s, 64) })
}

// Bool is true or false in one of strconv.ParseBool's spellings, def if there is none.
func (q QueryParams) Bool(name string, def bool) (bool, error) {
	return oneParam(q, name, def, parseBool)
}

// Time is an RFC 3339 time, def if there is none.
func (q QueryParams) Time(name string, def time.Time) (time.Time, error) {
	return oneParam(q, name, def, parseTime)
}

// Duration is a duration in Go's notation such as 1m30s, def if there is none.
func (q QueryParams) Duration(name string, def time.Duration) (time.Duration, error) {
	return oneParam(q, name, def, parseDuration)
}

func oneParam[T any](q QueryParams, name string, def T, parse func(string) (T, string)) (T, error) {
	if q.err != nil {
		return def, q.err
	}
	values := q.values[name]
	if len(values) == 0 {
		return def, nil
	}
	detail := givenTwice
	if len(values) == 1 {
		var value T
		if value, detail = parse(values[0]); detail == "" {
			return value, nil
		}
	}
	return def, FieldError{In: q.in, Pointer: pointer(name), Detail: detail}.problem(nil)
}
