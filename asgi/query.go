package asgi

import (
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
)

// QueryParams are decoded names and values of a URL's query or of a form. The zero value is empty.
// It is safe for concurrent reading.
//
// The typed getters return the default where the name is missing or, but for String, its value is
// empty, as a form sends a field that was left empty; and otherwise the value or an *HTTPError for
// the client: 422 with the name and what the value must be, when it does not parse or is given more
// than once; 400 when the query as a whole is malformed.
type QueryParams struct {
	pairs []pair     // a query is short: to look through it is cheaper than to make a map
	err   *HTTPError // the whole is malformed
	form  bool       // not a query
}

type pair struct{ name, value string }

// maxPairs is how many pairs a query or form may have; more are malformed.
const maxPairs = 10000

func (q QueryParams) in() string {
	if q.form {
		return "form"
	}
	return "query"
}

// ParseQuery decodes a raw query as url.ParseQuery does, at most 10000 pairs of text in UTF-8. What
// is wrong in it is told by Err and the typed getters; the pairs before it are there nevertheless.
func ParseQuery(raw string) QueryParams { return parsePairs(raw, false) }

func parsePairs(raw string, form bool) QueryParams {
	q := QueryParams{form: form}
	if raw == "" {
		return q
	}
	n := strings.Count(raw, "&") + 1
	q.pairs = make([]pair, 0, min(n, maxPairs))
	escaped := strings.IndexByte(raw, '%') >= 0 || !utf8.ValidString(raw) // else all of it is UTF-8
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, nameErr := url.QueryUnescape(name)
		value, valueErr := url.QueryUnescape(value)
		// Some servers split at a semicolon too: what it means is not certain.
		malformed := nameErr != nil || valueErr != nil || escaped &&
			!(utf8.ValidString(name) && utf8.ValidString(value))
		if malformed || strings.Contains(part, ";") || len(q.pairs) == maxPairs {
			q.err = NewHTTPError(http.StatusBadRequest, "The "+q.in()+" is not well formed.")
			return q
		}
		q.pairs = append(q.pairs, pair{name, value})
	}
	return q
}

// Err is nil, or the *HTTPError (400) that says the query is malformed.
func (q QueryParams) Err() error {
	if q.err == nil {
		return nil
	}
	return q.err
}

// first is the first value of the name and how many there are.
func (q QueryParams) first(name string) (value string, n int) {
	for i := range q.pairs {
		if q.pairs[i].name == name {
			if n == 0 {
				value = q.pairs[i].value
			}
			n++
		}
	}
	return value, n
}

// Has reports whether the name is there, be its value empty.
func (q QueryParams) Has(name string) bool {
	_, n := q.first(name)
	return n > 0
}

// Get is the first value of the name, empty if there is none.
func (q QueryParams) Get(name string) string {
	value, _ := q.first(name)
	return value
}

// Values are all values of the name in their order, nil if there is none.
func (q QueryParams) Values(name string) []string {
	var values []string
	for i := range q.pairs {
		if q.pairs[i].name == name {
			values = append(values, q.pairs[i].value)
		}
	}
	return values
}

// All are the names and values in their order.
func (q QueryParams) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := range q.pairs {
			if !yield(q.pairs[i].name, q.pairs[i].value) {
				return
			}
		}
	}
}

// String is the one value of the name, def if there is none.
func (q QueryParams) String(name, def string) (string, error) {
	return oneParam(q, name, def, true, func(s string) (string, string) { return s, "" })
}

// Int is a decimal integer, def if there is none.
func (q QueryParams) Int(name string, def int) (int, error) {
	return oneParam(q, name, def, false, func(s string) (int, string) {
		n, detail := typed.ParseInt(s, 0)
		return int(n), detail
	})
}

// Float is a finite number, def if there is none.
func (q QueryParams) Float(name string, def float64) (float64, error) {
	return oneParam(q, name, def, false,
		func(s string) (float64, string) { return typed.ParseFloat(s, 64) })
}

// Bool is true or false in one of strconv.ParseBool's spellings, or on, which a checkbox sends, or
// off; def if there is none.
func (q QueryParams) Bool(name string, def bool) (bool, error) {
	return oneParam(q, name, def, false, typed.ParseBool)
}

// Time is an RFC 3339 time, def if there is none.
func (q QueryParams) Time(name string, def time.Time) (time.Time, error) {
	return oneParam(q, name, def, false, typed.ParseTime)
}

// Duration is a duration in Go's notation such as 1m30s, def if there is none.
func (q QueryParams) Duration(name string, def time.Duration) (time.Duration, error) {
	return oneParam(q, name, def, false, typed.ParseDuration)
}

// oneParam parses the one value of a name. empty says whether an empty one is a value.
func oneParam[T any](q QueryParams, name string, def T, empty bool,
	parse func(string) (T, string),
) (T, error) {
	if q.err != nil {
		return def, q.err
	}
	text, n := q.first(name)
	if n == 0 || n == 1 && text == "" && !empty {
		return def, nil
	}
	detail := typed.GivenTwice
	if n == 1 {
		var value T
		if value, detail = parse(text); detail == "" {
			return value, nil
		}
	}
	return def,
		problem.Invalid(FieldError{In: q.in(), Pointer: typed.Pointer(name), Detail: detail})
}
