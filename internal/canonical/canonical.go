// Package canonical compares JSON without loss.
//
// RFC 8785 writes numbers as IEEE 754 doubles, so that of two 64-bit identifiers, such as
// 1234567890123456789 and 1234567890123456790, it makes the same text. Here a number is its decimal
// value, however many digits it has: 1, 1.0 and 10e-1 are one, and the two above are two. All else
// is as RFC 8785 has it: the order of members, white space and the escapes in strings make no
// difference.
package canonical

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// plain is the longest integer that is written without an exponent, in digits.
const plain = 64

// Equal reports whether two values are the same, however they are written. What is no JSON is the
// same as its own bytes only. Nothing is null.
func Equal(a, b jsontext.Value) bool {
	return bytes.Equal(a, b) || bytes.Equal(JSON(a), JSON(b))
}

// JSON is v in the one way in which a value is written here; null when v is empty, and v itself
// when it is no JSON.
func JSON(v jsontext.Value) jsontext.Value {
	if len(v) == 0 {
		return jsontext.Value("null")
	}
	v = v.Clone()
	if v.Canonicalize(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)) !=
		nil {
		return v
	}
	out := make(jsontext.Value, 0, len(v))
	for len(v) > 0 {
		n := 1
		switch c := v[0]; {
		case c == '"':
			n = stringEnd(v)
		case c == '-' || '0' <= c && c <= '9':
			if n = bytes.IndexAny(v, ",]}"); n < 0 {
				n = len(v)
			}
			out = append(out, Number(string(v[:n]))...)
			v = v[n:]
			continue
		}
		out = append(out, v[:n]...)
		v = v[n:]
	}
	return out
}

// stringEnd is the length of the string that v begins with.
func stringEnd(v []byte) int {
	for i := 1; i < len(v); i++ {
		switch v[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(v)
}

// Number is a JSON number in the one way in which its decimal value is written here. A number whose
// exponent is beyond 18 digits, which nobody can use, stays as it is.
func Number(text string) string {
	mantissa, power := text, int64(0)
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		var err error
		if power, err = strconv.ParseInt(text[i+1:], 10, 64); err != nil || power > 1e18 ||
			power < -1e18 {
			return text
		}
		mantissa = text[:i]
	}
	sign := ""
	if mantissa[0] == '-' {
		sign, mantissa = "-", mantissa[1:]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	power -= int64(len(fraction))
	digits := whole + fraction
	trimmed := strings.TrimRight(digits, "0")
	power += int64(len(digits) - len(trimmed))
	digits = strings.TrimLeft(trimmed, "0")
	switch {
	case digits == "":
		return "0" // and not -0, which is the same value
	case power >= 0 && int64(len(digits))+power <= plain:
		return sign + digits + zeros[:power]
	}
	return sign + digits + "e" + strconv.FormatInt(power, 10)
}

const zeros = "0000000000000000000000000000000000000000000000000000000000000000" // plain of them
