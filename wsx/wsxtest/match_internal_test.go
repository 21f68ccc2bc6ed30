package wsxtest

import (
	"maps"
	"testing"
)

func mustParse(t *testing.T, s string) any {
	t.Helper()
	v, err := parse([]byte(s))
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return v
}

func TestMatch_TellsWhatIsWantedFromWhatIsNot(t *testing.T) {
	vars := map[string]any{"id": "7", "n": number("3"), "list": []any{number("1")}}
	for _, tc := range []struct {
		pattern, value string
		same           bool
	}{
		{`1`, `1`, true},
		{`1`, `1.0`, true},
		{`1`, `2`, false},
		{`9007199254740993`, `9007199254740992`, false},
		{`{"a":[18446744073709551615]}`, `{"a":[18446744073709551614]}`, false},
		{`"$integer"`, `18446744073709551617`, true},
		{`"$integer"`, `1.50`, false},
		{`"$integer"`, `15e-1`, false},
		{`"$integer"`, `150e-1`, true},
		{`1`, `"1"`, false},
		{`true`, `true`, true},
		{`true`, `false`, false},
		{`null`, `null`, true},
		{`null`, `0`, false},
		{`null`, `{}`, false},
		{`"a"`, `"a"`, true},
		{`"a"`, `"A"`, false},
		{`"a"`, `["a"]`, false},
		{`[1,2]`, `[1,2]`, true},
		{`[1,2]`, `[2,1]`, false},
		{`[1,2]`, `[1]`, false},
		{`[1]`, `[1,2]`, false},
		{`[]`, `[]`, true},
		{`[]`, `{}`, false},
		{`[]`, `null`, false},
		{`{}`, `{}`, true},
		{`{}`, `[]`, false},
		{`{}`, `{"a":1}`, false},
		{`{"a":1}`, `{"a":1}`, true},
		{`{"a":1}`, `{}`, false},
		{`{"a":1}`, `{"A":1}`, false},
		{`{"a":1}`, `{"a":1,"b":2}`, false},
		{`{"a":1,"$more":true}`, `{"a":1,"b":2}`, true},
		{`{"a":1,"$more":true}`, `{"b":2}`, false},
		{`{"a":{"b":1}}`, `{"a":{"b":1,"c":1}}`, false},
		{`{"a":{"b":1},"$more":true}`, `{"a":{"b":1,"c":1}}`, false},
		{`"$any"`, `null`, true},
		{`{"a":"$any"}`, `{}`, false},
		{`"$string"`, `"x"`, true},
		{`"$string"`, `""`, false},
		{`"$string"`, `1`, false},
		{`"$number"`, `1.5`, true},
		{`"$number"`, `"1"`, false},
		{`"$integer"`, `2`, true},
		{`"$integer"`, `1.5`, false},
		{`"$integer"`, `"1"`, false},
		{`"$boolean"`, `false`, true},
		{`"$boolean"`, `0`, false},
		{`"$object"`, `{"a":1}`, true},
		{`"$object"`, `[]`, false},
		{`"$array"`, `[]`, true},
		{`"$array"`, `{}`, false},
		{`{"a":"$absent"}`, `{}`, true},
		{`{"a":"$absent"}`, `{"a":null}`, false},
		{`{"a":"$absent","$more":true}`, `{"a":null}`, false},
		{`{"a":"$optional"}`, `{}`, true},
		{`{"a":"$optional"}`, `{"a":null}`, true},
		{`{"a":"$optional"}`, `{"b":null}`, false},
		{`"${id}"`, `"7"`, true},
		{`"${id}"`, `7`, false},
		{`"${n}"`, `3`, true},
		{`"${n}"`, `"3"`, false},
		{`"a${id}b${n}"`, `"a7b3"`, true},
		{`"a${id}"`, `"a"`, false},
		{`"${list}"`, `[1]`, true},
		{`"${unknown}"`, `"${unknown}"`, false},
		{`"${id"`, `"${id"`, false},
		{`{"$unordered":[1,2]}`, `[2,1]`, true},
		{`{"$unordered":[1,1]}`, `[1,2]`, false},
		{`{"$unordered":[1]}`, `[1,1]`, false},
		{`{"$unordered":[]}`, `{}`, false},
		// what fits anything is not to take what another needs
		{`{"$unordered":["$any",2]}`, `[2,1]`, true},
	} {
		err := match(mustParse(t, tc.pattern), mustParse(t, tc.value), maps.Clone(vars))
		if (err == nil) != tc.same {
			t.Errorf("pattern %s, value %s: %v", tc.pattern, tc.value, err)
		}
	}
}

func TestMatch_SavesWhatLaterPatternsAskFor(t *testing.T) {
	vars := make(map[string]any)
	if err := match(mustParse(t, `{"a":"$save:x","b":["$save:y"]}`),
		mustParse(t, `{"a":{"n":1},"b":[2]}`), vars); err != nil {
		t.Fatal(err)
	}
	filled, err := fillAll(mustParse(t, `{"x":"${x}","y":["${y}","y=${y}"],"n":null}`), vars)
	if err != nil {
		t.Fatal(err)
	}
	if err := match(filled, mustParse(t, `{"x":{"n":1},"y":[2,"y=2"],"n":null}`), vars); err !=
		nil {
		t.Error(err)
	}
	for _, s := range []string{`"${z}"`, `["${z}"]`, `{"a":"${z}"}`} {
		if _, err := fillAll(mustParse(t, s), vars); err == nil {
			t.Errorf("%s was filled", s)
		}
	}
}

func TestFillJSON_SendsEveryDigit(t *testing.T) {
	r := &run{vars: map[string]any{}}
	if err := r.match([]byte(`{"id":"$save:id"}`), []byte(`{"id":12345678901234567891}`)); err !=
		nil {
		t.Fatal(err)
	}
	if err := r.match([]byte(`["${id}"]`), []byte(`[12345678901234567892]`)); err == nil {
		t.Error("another number is taken for the one that was saved")
	}
	b, err := r.fillJSON([]byte(`["${id}","n${id}",0.10000000000000000001]`))
	if want := `[12345678901234567891,"n12345678901234567891",0.10000000000000000001]`; err !=
		nil || string(b) != want {
		t.Errorf("sent %s, %v, want %s", b, err, want)
	}
}
