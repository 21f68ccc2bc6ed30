package typed

import (
	"encoding"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/schema"
)

// What a client is told of a value that does not parse.
const (
	notInteger  = "must be an integer"
	notUnsigned = "must be an integer, 0 or more"
	notNumber   = "must be a finite number"
	notBool     = "must be true or false"
	notTime     = "must be a time such as 2006-01-02T15:04:05Z (RFC 3339)"
	notDuration = "must be a duration such as 1m30s"
	notText     = "has a wrong format"
	notUTF8     = "must be text in UTF-8"
	outOfRange  = "is out of range"
	GivenTwice  = "must be given once"
)

// The parsers give a value and, where the text is none, what to tell the client.

// ParseInt reads a decimal integer of so many bits.
func ParseInt(s string, bits int) (int64, string) {
	n, err := strconv.ParseInt(s, 10, bits)
	return n, numberDetail(err, notInteger)
}

// ParseUint reads a decimal integer of so many bits, 0 or more.
func ParseUint(s string, bits int) (uint64, string) {
	n, err := strconv.ParseUint(s, 10, bits)
	return n, numberDetail(err, notUnsigned)
}

// ParseFloat reads a finite number of so many bits.
func ParseFloat(s string, bits int) (float64, string) {
	f, err := strconv.ParseFloat(s, bits)
	detail := numberDetail(err, notNumber)
	if detail == "" && (math.IsNaN(f) || math.IsInf(f, 0)) {
		detail = notNumber // JSON has none of them either
	}
	return f, detail
}

func numberDetail(err error, detail string) string {
	if err == nil {
		return ""
	}
	if errors.Is(err, strconv.ErrRange) {
		return outOfRange
	}
	return detail
}

// ParseBool reads true or false in one of strconv.ParseBool's spellings, or on or off.
func ParseBool(s string) (bool, string) {
	switch s {
	case "on": // a checkbox of HTML
		return true, ""
	case "off":
		return false, ""
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, notBool
	}
	return b, ""
}

// ParseTime reads what a body may have, by the same code: package time takes more than RFC 3339.
func ParseTime(s string) (time.Time, string) {
	var t time.Time
	quoted, err := jsontext.AppendQuote(nil, s)
	if err == nil {
		err = json.Unmarshal(quoted, &t)
	}
	if err != nil {
		return time.Time{}, notTime
	}
	return t, ""
}

// ParseDuration reads a duration in Go's notation.
func ParseDuration(s string) (time.Duration, string) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, notDuration
	}
	return d, ""
}

// Setter stores a text in a value of one type; it returns what to tell the client where the text is
// none.
type Setter func(v reflect.Value, s string) (detail string)

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// IsText reports whether an empty text is a value of type t, rather than a value left out.
func IsText(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() == reflect.String && !reflect.PointerTo(t).Implements(textType)
}

// NewSetter is the setter for values of type t, nil where a text cannot be one.
func NewSetter(t reflect.Type) Setter {
	set := plainSetter(t)
	values := schema.Enum(t)
	if set == nil || values == nil {
		return set
	}
	enum := newEnum(values)
	return func(v reflect.Value, s string) string {
		detail := set(v, s)
		if detail == "" && !enum.values[v.Interface()] {
			detail = enum.err.detail
		}
		return detail
	}
}

// plainSetter is NewSetter without regard to enums.
func plainSetter(t reflect.Type) Setter {
	switch {
	case t == timeType:
		return func(v reflect.Value, s string) string {
			at, detail := ParseTime(s)
			*v.Addr().Interface().(*time.Time) = at
			return detail
		}
	case t == durationType:
		return func(v reflect.Value, s string) string {
			d, detail := ParseDuration(s)
			v.SetInt(int64(d))
			return detail
		}
	case reflect.PointerTo(t).Implements(textType) && t.Kind() != reflect.Pointer:
		return func(v reflect.Value, s string) string {
			if !utf8.ValidString(s) {
				return notUTF8
			}
			if v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)) != nil {
				return notText
			}
			return ""
		}
	case t.Kind() == reflect.Pointer:
		set := NewSetter(t.Elem())
		if set == nil {
			return nil
		}
		return func(v reflect.Value, s string) string {
			v.Set(reflect.New(t.Elem()))
			return set(v.Elem(), s)
		}
	}
	return kindSetter(t)
}

// kindSetter is the setter for values of a type that is read by its kind.
func kindSetter(t reflect.Type) Setter {
	switch t.Kind() {
	case reflect.String:
		return func(v reflect.Value, s string) string {
			if !utf8.ValidString(s) {
				return notUTF8
			}
			v.SetString(s)
			return ""
		}
	case reflect.Bool:
		return func(v reflect.Value, s string) string {
			b, detail := ParseBool(s)
			v.SetBool(b)
			return detail
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(v reflect.Value, s string) string {
			n, detail := ParseInt(s, t.Bits())
			v.SetInt(n)
			return detail
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(v reflect.Value, s string) string {
			n, detail := ParseUint(s, t.Bits())
			v.SetUint(n)
			return detail
		}
	case reflect.Float32, reflect.Float64:
		return func(v reflect.Value, s string) string {
			f, detail := ParseFloat(s, t.Bits())
			v.SetFloat(f)
			return detail
		}
	}
	return nil
}

// Pointer is the JSON Pointer to a member or element of the given names.
func Pointer(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString(string(jsontext.Pointer("").AppendToken(name)))
	}
	return b.String()
}
