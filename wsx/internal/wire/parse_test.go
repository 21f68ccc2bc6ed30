package wire_test

import (
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

func TestMessage_ParseNamesTheFault(t *testing.T) {
	deep := strings.Repeat("[", 32) + strings.Repeat("]", 32)
	for _, tc := range []struct{ name, in, code, id string }{
		{"a request", `{"type":"rpc.request","id":1,"method":"m"}`, "", "1"},
		{"not JSON", `{"type":"rpc.request","id":1,`, "PARSE_ERROR", ""},
		{"something after the message", `{"type":"rpc.ping","id":1} x`, "PARSE_ERROR", ""},
		{"a byte order mark", "\ufeff{}", "PARSE_ERROR", ""},
		{"not UTF-8", "{\"type\":\"rpc.ping\",\"id\":\"\xff\"}", "PARSE_ERROR", ""},
		{"JSON of another shape", `{"hello":1,"id":4}`, "INVALID_REQUEST", "4"},
		{"a number", `5`, "INVALID_REQUEST", ""},
		{"a type that is no rpc type", `{"type":"hello","id":4}`, "INVALID_REQUEST", "4"},
		{"an unknown rpc type", `{"type":"rpc.hello","id":4}`, "UNSUPPORTED_TYPE", "4"},
		{"a type only servers send", `{"type":"rpc.event","id":4}`, "UNSUPPORTED_TYPE", "4"},
		{"no id", `{"type":"rpc.request","method":"m"}`, "INVALID_REQUEST", ""},
		{"an id of null", `{"type":"rpc.request","id":null,"method":"m"}`, "INVALID_REQUEST", ""},
		{
			"an id without a UTF-8 form", `{"type":"rpc.request","id":"\ud800","method":"m"}`,
			"INVALID_REQUEST", "",
		},
		{"no method", `{"type":"rpc.request","id":"a"}`, "INVALID_REQUEST", `"a"`},
		{
			"a duplicate member", `{"type":"rpc.request","method":"m","x":1,"x":1,"id":"a"}`,
			"INVALID_REQUEST", `"a"`,
		},
		{
			"a duplicate through an escape",
			`{"type":"rpc.request","method":"m","\u0074ype":"rpc.request","id":"a"}`,
			"INVALID_REQUEST", `"a"`,
		},
		{
			"a duplicate id",
			`{"type":"rpc.request","id":1,"method":"m","id":2}`, "INVALID_REQUEST",
			"",
		},
		{
			"a duplicate in meta", `{"type":"rpc.ping","id":1,"meta":{"a":1,"a":1}}`,
			"INVALID_REQUEST", "1",
		},
		{
			"a duplicate in params, which is not for here",
			`{"type":"rpc.request","id":1,"method":"m","params":{"a":1,"a":1}}`, "", "1",
		},
		{
			"a lone surrogate in params, which is not for here",
			`{"type":"rpc.request","id":1,"method":"m","params":"\ud83d"}`, "", "1",
		},
		{
			"33 levels, the id after them",
			`{"type":"rpc.request","method":"m","params":` + deep + `,"id":9}`, "INVALID_REQUEST",
			"9",
		},
		{
			"a timeout of zero", `{"type":"rpc.ping","id":1,"meta":{"timeout_ms":0}}`,
			"INVALID_REQUEST", "1",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var m wire.Message
			f := m.Parse([]byte(tc.in), wire.Rules{})
			if f.Code() != tc.code || string(m.ID) != tc.id {
				t.Errorf("code %q, id %q; want %q, %q", f.Code(), m.ID, tc.code, tc.id)
			}
			if (f.Text() == "") != (f == wire.OK) {
				t.Errorf("fault %d has the text %q", f, f.Text())
			}
		})
	}
}

func TestMessage_ParseReadsMembersAsTheyStand(t *testing.T) {
	in := []byte(
		` { "params" : { "a" : 1.0e2 } , "meta":{"timeout_ms":1500}, "id":1e400, ` +
			`"method":"a.\u0062", "type":"rpc.request"} `)
	var m wire.Message
	if f := m.Parse(in, wire.Rules{}); f != wire.OK {
		t.Fatal(f.Text())
	}
	if string(m.Params) != `{ "a" : 1.0e2 }` || string(m.ID) != "1e400" ||
		string(m.Method) != "a.b" || m.Timeout != 1500*time.Millisecond {
		t.Errorf("got params %q id %q method %q timeout %v", m.Params, m.ID, m.Method, m.Timeout)
	}
}

func TestMessage_ParseDoesNotAllocate(t *testing.T) {
	for _, in := range benchMessages {
		b := []byte(in.text)
		var m wire.Message
		if n := testing.AllocsPerRun(100, func() { m.Parse(b, wire.Rules{}) }); n != 0 {
			t.Errorf("%s: %v allocations", in.name, n)
		}
	}
}
