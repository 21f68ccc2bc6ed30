package wire_test

import (
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

func TestTunnelRequest_ReadsItsMembers(t *testing.T) {
	var r wire.TunnelRequest
	fault := r.Parse(
		[]byte(
			` {"id":"a\"b","method":"G\u0045T","path":"\/x `+
				`y","headers":{"a":[1]},"query":{},"data":"d","more":0} `), 0)
	if fault != wire.OK {
		t.Fatal(fault.Text())
	}
	for _, c := range []struct{ name, got, want string }{
		{"id", string(r.ID), `"a\"b"`},
		{"method", string(r.Method), "GET"},
		{"path", string(r.Path), "/x y"},
		{"headers", string(r.Headers), `{"a":[1]}`},
		{"query", string(r.Query), "{}"},
		{"data", string(r.Data), `"d"`},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", c.name, c.got, c.want)
		}
	}
	for text, want := range map[string]struct {
		fault wire.Fault
		id    string
	}{
		`{"id":7,"method":"GET","path":"/","data":[[[]]]}`:     {wire.TooDeep, "7"},
		`{"id":7,"method":"GET","path":"/","path":"/"}`:        {wire.DuplicateName, "7"},
		`{"id":7,"method":1,"path":"/"}`:                       {wire.BadMember, "7"},
		`{"id":7,"method":"GET"}`:                              {wire.BadMember, "7"},
		`[]`:                                                   {wire.NotMessage, ""},
		`{"id":7}{}`:                                           {wire.NotJSON, ""},
		"{\"id\":7,\"method\":\"GET\",\"path\":\"\xff\"}":      {wire.NotJSON, ""},
		`{"id":` + strings.Repeat("[", 9) + `,"method":"GET"}`: {wire.NotJSON, ""},
	} {
		if fault := r.Parse([]byte(text), 3); fault != want.fault || string(r.ID) != want.id {
			t.Errorf("%s: %s, id %q", text, fault.Text(), r.ID)
		}
	}
}

func TestAppendEvent_LeavesOutWhatIsNotThere(t *testing.T) {
	one := []byte("1")
	for want, got := range map[string][]byte{
		`{"type":"rpc.event","channel":"c","payload":1,"meta":{"sub_id":"s"}}`: wire.AppendEvent(
			nil, &wire.EventMembers{
				Channel: "c", Payload: one, SubID: "s", Offset: 9, TraceState: "without a parent",
			}),
		`{"type":"rpc.event","channel":"c","payload":1,"meta":{"sub_id":"s","epoch":"e",` +
			`"offset":12,"dropped":10,"traceparent":"00-1"}}`: wire.AppendEvent(
			nil, &wire.EventMembers{
				Channel: "c", Payload: one, SubID: "s", Epoch: "e", Offset: 12, Dropped: 10,
				TraceParent: "00-1",
			}),
		`{"jsonrpc":"2.0","method":"rpc.event","params":{"channel":"c","payload":1,` +
			`"meta":{"sub_id":"s","traceparent":"00-1","tracestate":"a=\"b"}}}`: wire.
			AppendJSONRPCEvent(nil, &wire.EventMembers{
				Channel: "c", Payload: one, SubID: "s", TraceParent: "00-1", TraceState: `a="b`,
			}),
		`{"type":"rpc.stream","id":1,"item":null,"seq":11}`: wire.AppendStream(nil, []byte("1"),
			nil, 11, nil),
	} {
		if string(got) != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// More names than a message usually has are told apart too, wherever the second stands.
func TestMessage_ParseFindsANameAmongMany(t *testing.T) {
	var b strings.Builder
	for i := range 40 {
		b.WriteString(`"n` + strings.Repeat("x", i) + `":0,`)
	}
	for i := range 40 {
		var m wire.Message
		text := `{"type":"rpc.request","id":1,"method":"m",` + b.String() + `"n` +
			strings.Repeat("x", i) + `":1}`
		if fault := m.Parse([]byte(text), wire.Rules{}); fault != wire.DuplicateName {
			t.Errorf("name %d again: %s", i, fault.Text())
		}
	}
}
