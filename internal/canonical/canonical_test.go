package canonical_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"github.com/genropy/genro-asgi-go/internal/canonical"
)

func TestEqual_TellsValuesApartAndNotTheirWriting(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{`9007199254740993`, `9007199254740992`, false},
		{`{"id":18446744073709551615}`, `{"id":18446744073709551614}`, false},
		{`[0.1000000000000000055]`, `[0.1]`, false},
		{`1e400`, `2e400`, false},
		{`1e-400`, `0`, false},
		{`1`, `"1"`, false},
		{`-5`, `5`, false},
		{`{"a":"1"}`, `{"a":1}`, false},
		{`{"a":[1,2]}`, `{"a":[2,1]}`, false},
		{`1`, `1.0`, true},
		{`1`, `10e-1`, true},
		{`100`, `1E+2`, true},
		{`0.00120`, `12e-4`, true},
		{`-0.0`, `0`, true},
		{`0e5`, `0`, true},
		{`1` + zeros(80), `1e80`, true},
		{`1` + zeros(62), `1e62`, true},
		{`{"b":1,"a":{"d":[],"c":2.50}}`, " { \"a\" : {\"c\":2.5,\"d\":[ ]},\n\"b\":1.00}", true},
		{`"\u0041\/"`, `"A/"`, true},
		{`"1.0"`, `"1"`, false},
		{`["",1.0]`, `["",1]`, true},
		{`"a1.0,"`, `"a1,"`, false},
		{`10e-1000000000000000000`, `1e-999999999999999999`, true},
		{`10e1000000000000000000`, `1e1000000000000000001`, true},
		{`{"1.0":1}`, `{"1":1}`, false},
		{`"\"1.0"`, `"\"1"`, false},
		{`1e9999999999999999999999`, `1e9999999999999999999998`, false},
		{``, `null`, true},
		{`not JSON`, `not JSON`, true},
		{`not JSON`, `not  JSON`, false},
	} {
		if got := canonical.Equal(jsontext.Value(c.a), jsontext.Value(c.b)); got != c.same {
			t.Errorf("%s and %s: %v, %q and %q", c.a, c.b, got, canonical.JSON(jsontext.Value(c.a)),
				canonical.JSON(jsontext.Value(c.b)))
		}
	}
}

func TestJSON_LeavesWhatItIsGiven(t *testing.T) {
	v := jsontext.Value(`{"b": 1.0, "a": 2}`)
	if got := canonical.JSON(v); string(got) != `{"a":2,"b":1}` ||
		string(v) != `{"b": 1.0, "a": 2}` {
		t.Errorf("%s of %s", got, v)
	}
}

// Two numbers have one text exactly when they are one rational number.
func TestNumber_IsTheDecimalValue(t *testing.T) {
	number := rapid.StringMatching(`-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,8})?([eE][+-]?[0-9]{1,2})?`)
	value := func(text string) *big.Rat {
		r, ok := new(big.Rat).SetString(text)
		if !ok {
			t.Fatalf("no number: %q", text)
		}
		return r
	}
	rapid.Check(t, func(t *rapid.T) {
		a := number.Draw(t, "a")
		b := number.Draw(t, "b")
		if rapid.Bool().Draw(t, "near") {
			b = value(a).FloatString(120)
		}
		x, y := canonical.Number(a), canonical.Number(b)
		if same := value(a).Cmp(value(b)) == 0; (x == y) != same {
			t.Errorf("%s and %s: %s and %s, one value: %v", a, b, x, y, same)
		}
		if !jsontext.Value(x).IsValid() || value(x).Cmp(value(a)) != 0 || canonical.Number(x) != x {
			t.Errorf("%s is written %s", a, x)
		}
	})
}

func zeros(n int) string { return strings.Repeat("0", n) }
