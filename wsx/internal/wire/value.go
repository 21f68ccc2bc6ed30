package wire

import (
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// unquote is what a string that was scanned says. Lone surrogates become U+FFFD.
func unquote(quoted []byte, escaped bool) []byte {
	if !escaped {
		return quoted[1 : len(quoted)-1]
	}
	plain, _ := jsontext.AppendUnquote(make([]byte, 0, len(quoted)), quoted)
	return plain
}

// text is what value, which was scanned, says if it is a string that has a UTF-8 form.
func text(value []byte) ([]byte, bool) {
	if len(value) == 0 || value[0] != '"' {
		return nil, false
	}
	for _, c := range value {
		if c == '\\' {
			plain, err := jsontext.AppendUnquote(make([]byte, 0, len(value)), value)
			return plain, err == nil
		}
	}
	return value[1 : len(value)-1], true
}

// integer is value, which was scanned, as an integer of zero or more without fraction or exponent;
// what exceeds a uint64 is the largest.
func integer(value []byte) (uint64, bool) {
	if len(value) == 0 {
		return 0, false
	}
	for _, c := range value {
		if !isDigit(c) {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(string(value), 10, 64) // out of range gives the largest
	if err != nil {
		n = math.MaxUint64
	}
	return n, true
}
