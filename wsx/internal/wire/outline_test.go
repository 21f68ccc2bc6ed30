package wire_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// outline is that of a message that comes in pieces of up to n bytes.
func outline(text string, n int) string {
	var o wire.Outline
	for len(text) > 0 {
		m := min(n, len(text))
		o.Write([]byte(text[:m]))
		text = text[m:]
	}
	return string(o.Bytes())
}

func TestOutline_KeepsWhatTellsWhoseAMessageIs(t *testing.T) {
	long := map[string]string{
		"string":  `"` + strings.Repeat(`x\"]},`, 5000) + `"`,
		"escapes": `"` + strings.Repeat(`\\`, 5000) + `"`,
		"array":   "[" + strings.Repeat(`1,{"a":[]},`, 5000) + "2]",
		"object":  `{"sub_id":"wrong","` + strings.Repeat(`a":{"b":"c"},"`, 5000) + `z":1}`,
		"number":  strings.Repeat("1", 10_000),
		"deep":    strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
	}
	for name, value := range long {
		for _, tt := range []string{
			`{"type":"rpc.event","channel":"a.b","payload":LONG,"meta":{"sub_id":"s","epoch":"e",` +
				`"offset":5}}`,
			`{"meta":{"sub_id":"s"} , "payload" : LONG , "channel":"a.b", "type":"rpc.event"}`,
			`{"type":"rpc.response","id":7,"result":LONG}`,
			`{"result":LONG,"id":7,"type":"rpc.response"}`,
			`{"jsonrpc":"2.0","method":"rpc.event","params":{"channel":"a.b","payload":LONG,` +
				`"meta":{"sub_id":"s"}}}`,
			` [{"jsonrpc":"2.0","id":1,"result":LONG},{"jsonrpc":"2.0","id":2,"result":[7]}]`,
		} {
			text := strings.ReplaceAll(tt, "LONG", value)
			want := strings.ReplaceAll(tt, "LONG", "null")
			for _, n := range []int{1, 7, len(text)} {
				if got := strings.Replace(outline(text, n), "[null]", "null", 1); got != want {
					// one that is deep is left out further in
					t.Errorf("%s in pieces of %d: %.300s, want %s", name, n, got, want)
				}
			}
		}
	}
}

// What is short is its own outline, and an outline is short and JSON, whatever the message.
func TestOutline_OfAnyMessage(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var value func(depth int) string
	value = func(depth int) string {
		switch kind := random.IntN(6); {
		case kind == 0 && depth > 0, kind == 1 && depth > 0:
			parts := make([]string, random.IntN(12))
			for i := range parts {
				if parts[i] = value(depth - 1); kind == 0 {
					parts[i] = fmt.Sprintf(`"m%d":%s`, i, parts[i])
				}
			}
			if kind == 0 {
				return "{" + strings.Join(parts, ", ") + "}"
			}
			return "[ " + strings.Join(parts, ",") + "]"
		case kind == 2:
			return []string{"null", "true", "-1.5e7"}[random.IntN(3)]
		default:
			return `"` + strings.Repeat(`é\n`, random.IntN(1+random.IntN(500))) + `"`
		}
	}
	short, long := 0, 0
	for range 500 {
		members := make([]string, 1+random.IntN(5))
		for i := range members {
			members[i] = fmt.Sprintf(`"m%d":%s`, i, value(4))
		}
		text := "{" + strings.Join(members, ",") + "}"
		got := outline(text, 1+random.IntN(100))
		switch {
		case len(text) < 1<<10 && got != text:
			t.Fatalf("%s became %s", text, got)
		case len(got) > 64<<10 || !jsontext.Value(got).IsValid():
			t.Fatalf("%d bytes of no JSON", len(got))
		}
		if short++; got != text {
			short--
			long++
		}
	}
	if short < 20 || long < 20 {
		t.Errorf("%d short messages and %d long ones", short, long)
	}
	many := "{" + strings.TrimSuffix(strings.Repeat(`"a":1,`, 50_000), ",") + "}"
	if got := outline(many, 4096); got != "null" {
		t.Errorf("of a message with too many members %d bytes are kept", len(got))
	}
	for _, text := range []string{"]]]]", `}"`, "", "x", `{"a":` + strings.Repeat("]", 70_000)} {
		// no JSON
		outline(text, 3)
	}
}
