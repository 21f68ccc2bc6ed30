package wire_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// FuzzAppend writes every kind of message with hostile strings and values and reads it back.
func FuzzAppend(f *testing.F) {
	for _, s := range []string{
		"add", "", "a\"b\\c", "\x00\x1f\u2028", "é😀", "\xff\xc0",
		"</script>", strings.Repeat("m", 300),
	} {
		f.Add(s, `1`, `{"a":1}`)
		f.Add(s, `"x\"y"`, `null`)
	}
	f.Fuzz(func(t *testing.T, s, id, value string) {
		id, value = strings.TrimSpace(id), strings.TrimSpace(value)
		v := jsontext.Value(value)
		if k := jsontext.Value(id).Kind(); k != '"' && k != '0' || !jsontext.Value(id).IsValid() ||
			!v.IsValid() {
			return
		}
		if _, depth, _ := oracleValue(v); depth > 30 {
			return
		}
		roundTrip(t, s, id, value)
	})
}

func TestAppend_ReadsBackAsWritten(t *testing.T) {
	for _, s := range []string{"add", "a\"b\\c", "\x00\x1f\u2028", "é😀", "\xff\xc0"} {
		roundTrip(t, s, `"x\"y"`, `{"a":[1,"\u0000"]}`)
		roundTrip(t, s, `-1.5e400`, `null`)
	}
}

func roundTrip(t *testing.T, s, id, value string) {
	t.Helper()
	idBytes, val, meta := []byte(id), []byte(value), []byte(`{"k":0}`)
	text := strings.ToValidUTF8(s, "\ufffd")
	if !utf8.ValidString(s) { // ToValidUTF8 replaces runs, AppendQuote bytes
		text = string([]rune(s))
	}
	server, client := wire.Rules{FromServer: true}, wire.Rules{}
	check := func(name string, b []byte, rules wire.Rules, want wire.Message) {
		t.Helper()
		if !bytes.HasPrefix(b, []byte("before")) {
			t.Fatalf("%s: what was there before is gone: %q", name, b)
		}
		b = b[len("before"):]
		var m wire.Message
		if fault := m.Parse(b, rules); fault != wire.OK {
			badMethod := len(text) == 0 || len(text) > wire.MaxMethod
			if fault != wire.BadMethod || !badMethod {
				t.Fatalf("%s: %s: %q", name, fault.Text(), b)
			}
			return
		}
		want.Dialect, want.Raw, m.Raw = wire.WSX, nil, nil
		if !sameMessage(m, want) {
			t.Fatalf("%s: %q reads back as %+v, want %+v", name, b, m, want)
		}
	}
	dst := func() []byte { return append(make([]byte, 0, 8), "before"...) }
	start := func(b []byte) []byte { return wire.AppendEnd(append(b, val...), meta) }
	txt := []byte(text)

	check("response", wire.AppendResponse(dst(), idBytes, val, meta), server,
		wire.Message{Type: wire.Response, ID: idBytes, Result: val, Meta: meta})
	check("response in place", start(wire.AppendResponseStart(dst(), idBytes)), server,
		wire.Message{Type: wire.Response, ID: idBytes, Result: val, Meta: meta})
	check("empty response", wire.AppendResponse(dst(), idBytes, nil, nil), server,
		wire.Message{Type: wire.Response, ID: idBytes, Result: []byte("null")})
	check("error", wire.AppendError(dst(), idBytes, s, s, val), server,
		wire.Message{
			Type: wire.Error, ID: idBytes, ErrorCode: txt, ErrorText: txt,
			ErrorDetails: val,
		})
	check("error without id", wire.AppendError(dst(), nil, "X", s, nil), server,
		wire.Message{Type: wire.Error, ErrorCode: []byte("X"), ErrorText: txt})
	check("request", wire.AppendRequest(dst(), idBytes, s, val, meta), client,
		wire.Message{Type: wire.Request, ID: idBytes, Method: txt, Params: val, Meta: meta})
	check("request without params", wire.AppendRequest(dst(), idBytes, s, nil, nil), client,
		wire.Message{Type: wire.Request, ID: idBytes, Method: txt})
	check("notification", wire.AppendNotify(dst(), s, val, meta), client,
		wire.Message{Type: wire.Notify, Method: txt, Params: val, Meta: meta})
	check("server notification", wire.AppendServerNotify(dst(), s, val, meta), server,
		wire.Message{Type: wire.Notify, Event: txt, Payload: val, Meta: meta})
	check("server notification in place", start(wire.AppendServerNotifyStart(dst(), s)), server,
		wire.Message{Type: wire.Notify, Event: txt, Payload: val, Meta: meta})
	check("error in place",
		wire.AppendEnd(append(wire.AppendErrorStart(dst(), idBytes),
			`{"code":"X","message":"y"}`...), nil), server,
		wire.Message{Type: wire.Error, ID: idBytes, ErrorCode: []byte("X"), ErrorText: []byte("y")})
	check("stream", wire.AppendStream(dst(), idBytes, val, 7, meta), server,
		wire.Message{Type: wire.Stream, ID: idBytes, Item: val, Seq: 7, Meta: meta})
	check("stream of a client", wire.AppendStream(dst(), idBytes, nil, 0, nil), client,
		wire.Message{Type: wire.Stream, ID: idBytes, Item: []byte("null")})
	check("progress", wire.AppendStream(dst(), idBytes, nil, 0, wire.AppendProgress(nil, val)),
		client, wire.Message{
			Type: wire.Stream, ID: idBytes, Item: []byte("null"), Progress: val,
			Meta: wire.AppendProgress(nil, val),
		})
	check("ack", wire.AppendAck(dst(), idBytes, 9, false), client,
		wire.Message{
			Type: wire.Notify, Method: []byte("wsx.ack"),
			Params: fmt.Appendf(nil, `{"id":%s,"next":9}`, id),
		})
	check("ack of a server", wire.AppendAck(dst(), idBytes, 9, true), server,
		wire.Message{
			Type: wire.Notify, Event: []byte("wsx.ack"),
			Payload: fmt.Appendf(nil, `{"id":%s,"next":9}`, id),
		})
	check("cancel", wire.AppendCancel(dst(), idBytes), client,
		wire.Message{Type: wire.Cancel, ID: idBytes})
	check("pong without id", wire.AppendPong(dst(), nil), server, wire.Message{Type: wire.Pong})
	check("pong", wire.AppendPong(dst(), idBytes), server,
		wire.Message{Type: wire.Pong, ID: idBytes})
}

func sameMessage(a, b wire.Message) bool {
	same := a.Dialect == b.Dialect && a.Type == b.Type && a.Timeout == b.Timeout &&
		a.Seq == b.Seq && a.Window == b.Window
	for _, pair := range [][2][]byte{
		{a.ID, b.ID},
		{a.Method, b.Method},
		{a.Event, b.Event},
		{a.Channel, b.Channel},
		{a.Params, b.Params},
		{a.Result, b.Result},
		{a.Payload, b.Payload},
		{a.Meta, b.Meta},
		{a.ErrorCode, b.ErrorCode},
		{a.ErrorText, b.ErrorText},
		{a.ErrorDetails, b.ErrorDetails},
	} {
		same = same && bytes.Equal(pair[0], pair[1])
	}
	return same
}

func TestAppendRequestMeta_HoldsWhatIsAskedFor(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "1", 1: "1", time.Millisecond: "1", time.Millisecond + 1: "2",
		time.Minute: "60000",
	} {
		got := string(wire.AppendRequestMeta(nil, d, 0, false, nil))
		if got != `{"timeout_ms":`+want+`}` {
			t.Errorf("%v: %s", d, got)
		}
	}
	if got := wire.AppendRequestMeta(nil, 0, 0, false, nil); got != nil {
		t.Errorf("%s for nothing", got)
	}
	if got := string(wire.AppendRequestMeta(nil, 0, 0, true, nil)); got != `{"progress":true}` {
		t.Error(got)
	}
	if got := string(wire.AppendRequestMeta(nil, 0, 256, false, nil)); got != `{"window":256}` {
		t.Error(got)
	}
	if got := string(wire.AppendRequestMeta([]byte("before"), time.Second, 1, true, nil)); got !=
		`before{"timeout_ms":1000,"window":1,"progress":true}` {
		t.Error(got)
	}
	more := map[string]string{
		"tracestate": `a="1"`, "traceparent": "00-1", "timeout_ms": "no", "window": "no",
		"progress": "no",
	}
	const members = `"traceparent":"00-1","tracestate":"a=\"1\""}`
	if got := string(wire.AppendRequestMeta(nil, time.Second, 0, false, more)); got !=
		`{"timeout_ms":1000,`+members {
		t.Error(got)
	}
	if got := string(wire.AppendMeta([]byte("before"), more)); got != `before{`+members {
		t.Error(got)
	}
	for _, more := range []map[string]string{nil, {}, {"window": "no"}} {
		if got := wire.AppendMeta(nil, more); got != nil {
			t.Errorf("%s for %v", got, more)
		}
	}
}

func TestReadAck_ReadsWhatAppendAckWrites(t *testing.T) {
	for params, want := range map[string]string{
		`{"id":1,"next":9}`:                    "1 9",
		`{ "next" : 9, "more":[1], "id":"x"}`:  `"x" 9`,
		`{"id":1,"next":18446744073709551616}`: "1 18446744073709551615",
		`{"id":1,"next":-1}`:                   " 0",
		`{"id":1}`:                             " 0",
		`{"id":1,"id":2,"next":9}`:             " 0",
		`[1]`:                                  " 0",
		``:                                     " 0",
	} {
		id, next := wire.ReadAck([]byte(params))
		if got := fmt.Sprintf("%s %d", id, next); got != want {
			t.Errorf("%s: %s", params, got)
		}
	}
}

func TestAppend_DoesNotAllocate(t *testing.T) {
	dst, id, val := make([]byte, 0, 1024), []byte("1"), []byte(`{"a":1}`)
	if n := testing.AllocsPerRun(100, func() {
		dst = wire.AppendResponse(dst[:0], id, val, val)
		dst = wire.AppendError(dst[:0], id, "CODE", "text \"quoted\" é", val)
		dst = wire.AppendRequest(dst[:0], id, "add", val, val)
		dst = wire.AppendNotify(dst[:0], "add", val, nil)
		dst = wire.AppendServerNotify(dst[:0], "event", val, nil)
		dst = wire.AppendRequestMeta(wire.AppendPong(wire.AppendCancel(dst[:0], id), id),
			time.Second, 1, true, nil)
		dst = wire.AppendEnd(
			append(wire.AppendErrorStart(wire.AppendStream(dst[:0], id, val, 3, val), id), val...),
			nil)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
