package wire_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// seeds are messages good and hostile; the tests run all of them, and every prefix of them, against
// the oracle.
func seeds() []string {
	nest := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	many := func(n int, last string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`"m`)
			b.WriteString(strings.Repeat("x", i))
			b.WriteString(`":0,`)
		}
		return `{"type":"rpc.ping",` + b.String() + last + `}`
	}
	return []string{
		`{"type":"rpc.request","id":1,"method":"add","params":{"a":2,"b":40}}`,
		"\t{ \"params\" : [ 1 , true , null ] " +
			",\r\n\"method\":\"User.create\",\"id\":\"x-1\",\"meta\":{\"timeout_ms\":1500," +
			"\"trace\":\"t\"},\"type\":\"rpc.request\" } \n",
		`{"type":"rpc.request","id":-1.50e+10,"method":"m","params":null}`,
		`{"type":"rpc.request","id":1,"method":"caf\u00e9 \ud83d\ude00"}`,
		`{"type":"rpc.request","id":1,"method":"` + strings.Repeat("m", 256) + `"}`,
		`{"type":"rpc.request","id":1,"method":"` + strings.Repeat("m", 257) + `"}`,
		`{"type":"rpc.request","id":1,"method":"` + strings.Repeat(`\u00e9`, 129) + `"}`,
		`{"type":"rpc.request","id":1,"method":""}`,
		`{"type":"rpc.request","id":1,"method":7}`,
		`{"type":"rpc.request","id":1}`,
		`{"type":"rpc.request","method":"m"}`,
		`{"type":"rpc.request","id":null,"method":"m"}`,
		`{"type":"rpc.request","id":true,"method":"m"}`,
		`{"type":"rpc.request","id":{},"method":"m"}`,
		`{"type":"rpc.request","id":"\ud800","method":"m"}`,
		`{"type":"rpc.request","id":"\u0000\\\"","method":"m"}`,
		`{"type":"rpc.request","id":1,"id":1,"method":"m"}`,
		`{"type":"rpc.request","id":1,"\u0069d":2,"method":"m"}`,
		`{"\u0074ype":"\u0072pc.request","id":1,"method":"m"}`,
		`{"type":"rpc.request","\u0074ype":"rpc.request","id":1,"method":"m"}`,
		`{"type":"rpc.request","id":1,"method":"m","x":1,"x":2}`,
		`{"type":"rpc.request","id":1,"method":"m","\ud800":1,"\udfff":2}`,
		`{"type":"rpc.request","id":1,"method":"m","x":{"a":1,"a":2}}`,
		`{"type":"rpc.request","id":1,"method":"m","params":{"a":1,"a":2}}`,
		`{"type":"rpc.request","id":1,"method":"m","params":"\ud83d\u0041"}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":{"a":1,"a":2}}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":{"a":{"b":1,"b":2}}}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":null}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":{}}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":{"timeout_ms":0}}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":{"timeout_ms":-0}}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":{"timeout_ms":-1}}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":{"timeout_ms":1.0}}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":{"timeout_ms":1e3}}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":{"timeout_ms":"1"}}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":{"timeout_ms":9223372036855}}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":{"timeout_ms":99999999999999999999999}}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":{"\u0074imeout_ms":5}}`,
		`{"type":"rpc.response","id":1,"result":{"sum":42},"meta":{"x":1}}`,
		`{"type":"rpc.response","id":"1","result":null}`,
		`{"type":"rpc.response","id":1}`,
		`{"type":"rpc.error","id":null,"error":{"code":"X","message":"it's ` +
			`\"bad\"","details":{"path":"/a~1b"}}}`,
		`{"type":"rpc.error","id":5,"error":{"code":"X","message":""}}`,
		`{"type":"rpc.error","error":{"code":"X","message":""}}`,
		`{"type":"rpc.error","id":5,"error":{"code":"X","code":"Y","message":""}}`,
		`{"type":"rpc.error","id":5,"error":{"code":1,"message":""}}`,
		`{"type":"rpc.error","id":5,"error":[]}`,
		`{"type":"rpc.stream","id":1,"item":{"n":1},"seq":0}`,
		`{"type":"rpc.stream","id":1,"item":1,"seq":18446744073709551616}`,
		`{"type":"rpc.stream","id":1,"seq":1}`,
		`{"type":"rpc.stream","id":1,"item":1,"seq":1.5}`,
		`{"type":"rpc.cancel","id":1}`,
		`{"type":"rpc.cancel"}`,
		`{"type":"rpc.notify","method":"log","params":"x"}`,
		`{"type":"rpc.notify","event":"wsx.join","payload":{"channel":"c"}}`,
		`{"type":"rpc.notify","id":{}}`,
		`{"type":"rpc.subscribe","id":1,"channel":"room.1","params":{},"recover":{"epoch":"e",` +
			`"offset":3}}`,
		`{"type":"rpc.subscribe","id":1,"channel":"room.1","recover":3}`,
		`{"type":"rpc.subscribe","id":1}`,
		`{"type":"rpc.unsubscribe","id":"s1"}`,
		`{"type":"rpc.unsubscribe","id":1}`,
		`{"type":"rpc.unsubscribe","id":1,"subscription":"s","channel":"c"}`,
		`{"type":"rpc.unsubscribe","id":1,"subscription":5}`,
		`{"type":"rpc.unsubscribe","id":1,"channel":null}`,
		`{"type":"rpc.event","channel":"room.1","payload":[1],"meta":{"sub_id":"s","offset":4}}`,
		`{"type":"rpc.event","channel":"room.1"}`,
		`{"type":"rpc.ping"}`, `{"type":"rpc.ping","id":7}`, `{"type":"rpc.pong","id":"a"}`,
		`{"type":"rpc.ping","id":null}`,
		`{"type":"rpc."}`, `{"type":"rpc.nope","id":3}`, `{"type":"RPC.ping"}`, `{"type":"rpc"}`,
		`{"type":7}`,
		`{"jsonrpc":"2.0","id":1,"method":"add","params":[1,2]}`,
		`{"jsonrpc":"2.0","id":null,"method":5}`,
		`{"jsonrpc":"2.0","jsonrpc":"2.0"}`, `{"jsonrpc":2.0}`,
		`{"jsonrpc":"2.0","type":"rpc.ping"}`,
		`[]`, `[{"jsonrpc":"2.0"}]`, `[1,2`, `{}`, `null`, `true`, `false`, `"x"`, `0`, `-0`,
		`1e400`, `-1.5E-3`,
		`WSX://{"id":1,"method":"GET","path":"/"}`, `WSX://`, "WSX://\xff", ` WSX://`, `WSX:/`,
		``, ` `, `{`, `{"`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `[1,]`, `{,}`,
		`{"a" 1}`, `{1:2}`, `{"a":1 "b":2}`,
		`01`, `1.`, `.5`, `+1`, `--1`, `1e`, `1e+`, `0x1`, `NaN`, `Infinity`, `nul`, `truex`,
		`{} {}`, `{}x`, "{}\x00", "\xef\xbb\xbf{}",
		"\"a\nb\"", "\"a\x00b\"", "\"a\x1f\"", "\"abcdefgh\nij\"", "\"abcdefgh\x1fijklmnop\"",
		`"\x"`, `"\u12g4"`, `"\u123`, `"\`, "\"\x7f\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"",
		"\"12345678\xff\"",
		`"abcdefghijklmnop\"qrstuvwxyz"`, `"é€😀 abcdefgh é"`, "{\"\xff\":1}", `[1}`, `{"a":1]`,
		`{"a":[}`, "\u00a0{}",
		nest(32), nest(33), nest(64), nest(65), nest(130), strings.Repeat("[", 65), nest(70)[:139],
		strings.Repeat(`{"a":[`, 40) + strings.Repeat(`]}`, 40),
		`{"type":"rpc.request","params":` + nest(31) + `,"method":"m","id":"deep"}`,
		`{"type":"rpc.request","params":` + nest(32) + `,"method":"m","id":"deep"}`,
		`{"type":"rpc.request","params":[` + strings.Repeat(`{"a":`, 70) + `0` +
			strings.Repeat(`}`, 70) + `,{"b":[]}],"method":"m","id":"deep"}`,
		many(8, `"n":1`), many(8, `"m":1`), many(12, `"n":1`), many(12, `"m":1`),
		many(12, `"mxxxxxxx":1`), many(12, `"mxxxxxxxxxx":1`),
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { compare(t, b) })
}

func TestMessage_ParseAgreesWithTheOracleOnEveryPrefixOfEverySeed(t *testing.T) {
	for _, s := range seeds() {
		for n := range len(s) + 1 {
			compare(t, []byte(s[:n]))
		}
	}
}

// compare holds the scanner to the oracle under several rules.
func compare(t *testing.T, b []byte) {
	t.Helper()
	if bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) > 9000 {
		return // jsontext ends at a depth of 10,000
	}
	before := bytes.Clone(b)
	for _, rules := range []wire.Rules{
		{},
		{FromServer: true},
		{Depth: 3},
		{JSONRPC: true},
		{JSONRPC: true, FromServer: true},
	} {
		var got wire.Message
		fault := got.Parse(b, rules)
		want, wantFault := oracle(before, rules)
		if fault != wantFault {
			t.Fatalf("%q %+v: fault %d (%s), the oracle says %d (%s)", b, rules, fault,
				fault.Text(), wantFault, wantFault.Text())
		}
		if fault != wire.OK { // then only these mean anything
			got = wire.Message{Dialect: got.Dialect, Type: got.Type, ID: got.ID}
			want = wire.Message{Dialect: want.Dialect, Type: want.Type, ID: want.ID}
		}
		g, w := reflect.ValueOf(got), reflect.ValueOf(want)
		for i := range g.NumField() {
			name := g.Type().Field(i).Name
			if gb, ok := g.Field(i).Interface().([]byte); ok {
				wb := w.Field(i).Bytes()
				// nil or empty, as the code under test likes
				texts := name == "Method" || strings.HasPrefix(name, "Error")
				if !bytes.Equal(gb, wb) || !texts && (gb == nil) != (wb == nil) {
					t.Fatalf("%q %+v: %s = %q, the oracle says %q", b, rules, name, gb, wb)
				}
			} else if g.Field(i).Interface() != w.Field(i).Interface() {
				t.Fatalf("%q %+v: %s = %v, the oracle says %v", b, rules, name, g.Field(i),
					w.Field(i))
			}
		}
	}
	if !bytes.Equal(b, before) {
		t.Fatalf("Parse changed its input %q to %q", before, b)
	}
}
