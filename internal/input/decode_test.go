package input_test

import (
	"reflect"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/input"
)

func TestExactAny_KeepsIntegers(t *testing.T) {
	for text, want := range map[string]any{
		"0": 0.0, "-1": -1.0, "1.5": 1.5, "1e3": 1000.0, "9007199254740992": 9007199254740992.0,
		"9007199254740993":          int64(9007199254740993),
		"-9223372036854775808":      int64(-9223372036854775808),
		"9223372036854775808":       uint64(9223372036854775808),
		"18446744073709551615":      uint64(18446744073709551615),
		"18446744073709551616":      jsontext.Value("18446744073709551616"),
		"-99999999999999999999":     jsontext.Value("-99999999999999999999"),
		"12345678901234567890123.5": 12345678901234567890123.5,
		`"9007199254740993"`:        "9007199254740993", "null": nil, "true": true,
	} {
		for _, in := range []string{text, `{"a":[` + text + `]}`} {
			var got any
			if err := json.Unmarshal([]byte(in), &got,
				json.WithUnmarshalers(input.ExactAny())); err != nil {
				t.Errorf("%s: %v", in, err)
				continue
			}
			if in != text {
				got = got.(map[string]any)["a"].([]any)[0]
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %T %v", in, got, got)
			}
		}
	}
	var got any
	if err := json.Unmarshal([]byte("[1e999]"), &got,
		json.WithUnmarshalers(input.ExactAny())); err == nil {
		t.Errorf("1e999 is %v", got)
	}
}
