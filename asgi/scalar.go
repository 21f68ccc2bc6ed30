package asgi

import (
	"encoding"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
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
	outOfRange  = "is out of range"
	givenTwice  = "must be given once"
)

// The parsers give a value and, where the text is none, what to tell the client.

func parseInt(s string, bits int) (int64, string) {
	n, err := strconv.ParseInt(s, 10, bits)
	return n, numberDetail(err, notInteger)
}

func parseUint(s string, bits int) (uint64, string) {
	n, err := strconv.ParseUint(s, 10, bits)
	return n, numberDetail(err, notUnsigned)
}

func parseFloat(s string, bits int) (float64, string) {
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

func parseBool(s string) (bool, string) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, notBool
	}
	return b, ""
}

func parseTime(s string) (time.Time, string) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, notTime
	}
	return t, ""
}

func parseDuration(s string) (time.Duration, string) {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, notDuration
	}
	return d, ""
}

// setter stores a text in a value of one type; it returns what to tell the client where the text is none.
type setter func(v reflect.Value, s string) (detail string)

var (
	timeType     = reflect.TypeFor[time.Time]()
	durationType = reflect.TypeFor[time.Duration]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// scalarSetter is the setter for values of type t, nil where a text cannot be one.
func scalarSetter(t reflect.Type) setter {
	switch {
	case t == timeType:
		return func(v reflect.Value, s string) string {
			at, detail := parseTime(s)
			*v.Addr().Interface().(*time.Time) = at
			return detail
		}
	case t == durationType:
		return func(v reflect.Value, s string) string {
			d, detail := parseDuration(s)
			v.SetInt(int64(d))
			return detail
		}
	case reflect.PointerTo(t).Implements(textType) && t.Kind() != reflect.Pointer:
		return func(v reflect.Value, s string) string {
			if v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(s)) != nil {
				return notText
			}
			return ""
		}
	}
	switch t.Kind() {
	case reflect.String:
		return func(v reflect.Value, s string) string {
			v.SetString(s)
			return ""
		}
	case reflect.Bool:
		return func(v reflect.Value, s string) string {
			b, detail := parseBool(s)
			v.SetBool(b)
			return detail
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(v reflect.Value, s string) string {
			n, detail := parseInt(s, t.Bits())
			v.SetInt(n)
			return detail
		}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(v reflect.Value, s string) string {
			n, detail := parseUint(s, t.Bits())
			v.SetUint(n)
			return detail
		}
	case reflect.Float32, reflect.Float64:
		return func(v reflect.Value, s string) string {
			f, detail := parseFloat(s, t.Bits())
			v.SetFloat(f)
			return detail
		}
	case reflect.Pointer:
		set := scalarSetter(t.Elem())
		if set == nil {
			return nil
		}
		return func(v reflect.Value, s string) string {
			v.Set(reflect.New(t.Elem()))
			return set(v.Elem(), s)
		}
	}
	return nil
}

// pointer is the JSON Pointer to a member or element of the given names.
func pointer(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteString(string(jsontext.Pointer("").AppendToken(name)))
	}
	return b.String()
}
