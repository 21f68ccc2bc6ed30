package wsxtest_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// faker is a server's end that does whatever a test tells it to.
type faker struct {
	c net.Conn
	r *bufio.Reader
}

// fake serves WebSockets with play, after a handshake with further header lines. What play leaves
// is served well.
func fake(t *testing.T, lines string, play func(f *faker)) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") +
			"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		accept := "Sec-WebSocket-Accept: " + base64.StdEncoding.EncodeToString(sum[:]) + "\r\n"
		if strings.Contains(lines, "Sec-WebSocket-Accept") {
			accept = ""
		}
		_, _ = io.WriteString(c,
			"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
				accept+lines+"\r\n")
		f := &faker{c, rw.Reader}
		play(f)
		for {
			op, b := f.read()
			switch op {
			case 1:
				f.send(0x81, strings.Replace(string(b), "ping", "pong", 1))
			case 8:
				f.send(0x88, string(b))
				return
			case -1:
				return
			}
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// read reads a client's frame; -1 is the end.
func (f *faker) read() (opcode int, payload []byte) {
	head := make([]byte, 6)
	if _, err := io.ReadFull(f.r, head); err != nil {
		return -1, nil
	}
	payload = make([]byte, head[1]&0x7f)
	if _, err := io.ReadFull(f.r, payload); err != nil {
		return -1, nil
	}
	for i := range payload {
		payload[i] ^= head[2+i&3]
	}
	return int(head[0] & 0xf), payload
}

// send sends a short frame.
func (f *faker) send(first byte, payload string) {
	_, _ = f.c.Write(append([]byte{first, byte(len(payload))}, payload...))
}

func (f *faker) raw(s string) { _, _ = io.WriteString(f.c, s) }

func (f *faker) close(code uint16) {
	f.send(0x88, string(binary.BigEndian.AppendUint16(nil, code)))
}

const pongOne = `{"type":"rpc.pong","id":1}`

// TestVector_FailsAWrongServer is the proof that the runner cannot be fooled: each server here is
// wrong in one way.
func TestVector_FailsAWrongServer(t *testing.T) {
	const (
		ask = `{"connect":{}},{"send":{"type":"rpc.ping","id":1}},` +
			`{"receive":{"type":"rpc.pong","id":1}}`
		closed = `{"connect":{}},{"send":1},{"closed":1008}`
		pinged = `{"connect":{}},{"ping":"x"},{"pong":"x"}`
		both   = `{"connect":{}},{"send":1},{"unordered":[{"n":1},{"n":2}]}`
		passes = `{"connect":{}},{"send":1},{"closed":1008,"skip":{"n":1}}`
		until  = `{"connect":{}},{"send":1},{"until":{"n":2},"skip":{"n":1}}`
	)
	say := func(messages ...string) func(f *faker) {
		return func(f *faker) {
			f.read()
			for _, m := range messages {
				f.send(0x81, m)
			}
		}
	}
	frames := func(s string) func(f *faker) { return func(f *faker) { f.read(); f.raw(s) } }
	for name, tc := range map[string]struct {
		steps string
		lines string
		play  func(f *faker)
		want  string // in the error; "" is none
	}{
		"right": {ask, "", say(pongOne), ""},
		"right, two frames": {
			ask, "",
			frames("\x01\x08{\"type\":\x89\x00\x80\x12\"rpc.pong\",\"id\":1}"), "",
		},
		"right, closed": {
			closed, "",
			func(f *faker) { f.read(); f.close(1008); f.read(); _ = f.c.Close() }, "",
		},
		"right, passes over": {
			passes, "",
			func(f *faker) {
				say(`{"n":1}`, `{"n":1}`)(f)
				f.close(1008)
				f.read()
				_ = f.c.Close()
			}, "",
		},
		"right, unordered": {both, "", say(`{"n":2}`, `{"n":1}`), ""},
		"right, until":     {until, "", say(`{"n":1}`, `{"n":2}`), ""},
		"right, a pong":    {pinged, "", func(f *faker) { f.read(); f.send(0x8a, "x") }, ""},

		"another id":         {ask, "", say(`{"type":"rpc.pong","id":"1"}`), "/id"},
		"a member more":      {ask, "", say(`{"type":"rpc.pong","id":1,"x":1}`), "/x"},
		"a member less":      {ask, "", say(`{"type":"rpc.pong"}`), "/id is missing"},
		"a member twice":     {ask, "", say(`{"type":"rpc.pong","id":1,"id":1}`), "not JSON"},
		"not JSON":           {ask, "", say(`pong`), "not JSON"},
		"more than JSON":     {ask, "", say(pongOne + "x"), "not JSON"},
		"an answer too many": {ask, "", say(pongOne, pongOne), "behind the last step"},
		"a late answer too many": {
			ask, "",
			func(f *faker) { say(pongOne)(f); f.read(); f.send(0x81, pongOne) },
			"behind the last step",
		},
		"a pong too many": {
			ask, "", func(f *faker) { say(pongOne)(f); f.send(0x8a, "x") },
			"behind the last step",
		},
		"no answer": {ask, "", func(f *faker) { f.read(); f.read() }, "timeout"},
		"binary": {
			ask, "", func(f *faker) { f.read(); f.send(0x82, pongOne) },
			"binary",
		},
		"not UTF-8": {ask, "", say("\"\xff\""), "UTF-8"},
		"closed instead": {
			ask, "", func(f *faker) { f.read(); f.close(1011); f.read() },
			"1011",
		},
		"cut": {
			ask, "", func(f *faker) { f.read(); _ = f.c.Close() },
			"no message",
		},
		"cut inside a frame": {
			ask, "",
			func(f *faker) { f.read(); f.raw("\x81\x20{"); _ = f.c.Close() }, "no message",
		},
		"masked":                 {ask, "", frames("\x81\x8211112222"), "masked"},
		"compressed":             {ask, "", frames("\xc1\x02{}"), "reserved bit"},
		"an unknown opcode":      {ask, "", frames("\x83\x02{}"), "opcode 3"},
		"a ping in parts":        {ask, "", frames("\x09\x00"), "control frame"},
		"a stray continuation":   {ask, "", frames("\x80\x02{}"), "outside of a message"},
		"a message in a message": {ask, "", frames("\x01\x01{\x81\x01}"), "inside"},
		"a length too long":      {ask, "", frames("\x81\x7e\x00\x02{}"), "shortest"},
		"a long length too long": {
			ask, "", frames("\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x02{}"),
			"shortest",
		},
		"a huge frame": {
			ask, "", frames("\x81\x7f\x7f\x00\x00\x00\x00\x00\x00\x02{}"),
			"bytes",
		},
		"another close code": {
			closed, "",
			func(f *faker) { f.read(); f.close(1000); f.read() }, "closed with 1000",
		},
		"no close code": {
			closed, "",
			func(f *faker) { f.read(); f.send(0x88, ""); f.read() }, "closed with 1005",
		},
		"half a close code": {
			closed, "",
			func(f *faker) { f.read(); f.send(0x88, "x"); f.read() }, "none",
		},
		"a message before it": {
			closed, "",
			func(f *faker) { say("{}")(f); f.close(1008); f.read() }, "before the close frame",
		},
		"another before it": {
			passes, "",
			func(f *faker) { say(`{"n":2}`)(f); f.close(1008); f.read(); _ = f.c.Close() },
			"/n is 2",
		},
		"no close frame": {
			closed, "", func(f *faker) { f.read(); _ = f.c.Close() },
			"no close frame",
		},
		"more behind it": {
			closed, "",
			func(f *faker) { f.read(); f.close(1008); f.send(0x81, "x"); f.read() },
			"after its close frame",
		},
		"left open behind it": {
			closed, "",
			func(f *faker) { f.read(); f.close(1008); f.read(); f.read() },
			"left the connection open",
		},
		"another pong": {
			pinged, "", func(f *faker) { f.read(); f.send(0x8a, "y") },
			"pong of",
		},
		"no pong":              {pinged, "", func(f *faker) { f.read(); f.read() }, "no pong"},
		"a message for a pong": {pinged, "", say("{}"), "where a pong"},
		"two of one kind":      {both, "", say(`{"n":1}`, `{"n":1}`), "no message for"},
		"one of two": {
			both, "", func(f *faker) { say(`{"n":1}`)(f); f.read() },
			"timeout",
		},
		"one of two not JSON":     {both, "", say(`{"n":1}`, `x`), "not JSON"},
		"what may not be skipped": {until, "", say(`{"n":1}`, `{"n":3}`, `{"n":2}`), "/n is 3"},
		"never until": {
			until, "", func(f *faker) { say(`{"n":1}`)(f); f.read() },
			"timeout",
		},
		"another accept": {ask, "Sec-WebSocket-Accept: x\r\n", say(pongOne), "Accept"},
		"an extension": {
			ask, "Sec-WebSocket-Extensions: permessage-deflate\r\n",
			say(pongOne), "extension",
		},
		"a subprotocol": {
			ask, "Sec-WebSocket-Protocol: wsx.v1\r\n", say(pongOne),
			"subprotocol",
		},
		"another close answered": {ask, "", func(f *faker) {
			say(pongOne)(f)
			_, b := f.read()
			f.send(0x81, strings.Replace(string(b), "ping", "pong", 1))
			f.read()
			f.close(1001)
			_ = f.c.Close()
		}, "closed with 1001"},
	} {
		t.Run(name, func(t *testing.T) {
			timeout := 150 * time.Millisecond
			if tc.want == "" {
				timeout = 0
			}
			err := suite(t, map[string]string{"v": tc.steps}).Vectors[0].Run(t.Context(),
				&wsxtest.Target{URL: fake(t, tc.lines, tc.play), Timeout: timeout})
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// A name under which nothing is saved is a fault of the vector wherever it stands, and never sent,
// or passed over, as something else.
func TestVector_FailsWhereANameStandsForNothing(t *testing.T) {
	url, _ := serveSocket(t)
	for _, steps := range []string{
		`{"connect":{"path":"/${nothing}"}}`,
		`{"connect":{"headers":{"A":"${nothing}"}}}`,
		`{"connect":{}},{"send":{"type":"rpc.ping","id":"${nothing}"}}`,
		`{"connect":{}},{"send":{"tunnel":{"id":"${nothing}"}}}`,
		`{"connect":{}},{"text":"${nothing}"}`,
		`{"connect":{}},{"binary":"${nothing}"}`,
		`{"connect":{}},{"frames":[{"opcode":1,"payload":"${nothing}"}]}`,
		`{"connect":{}},{"repeat":{"times":2,"steps":[{"send":"${nothing}"}]}}`,
		`{"connect":{}},{"send":{"type":"rpc.ping"}},{"receive":{"type":"${nothing}"}}`,
		`{"connect":{}},{"send":{"type":"rpc.ping"}},{"receive":{"type":"rpc.pong"},` +
			`"contains":["${nothing}"]}`,
		`{"connect":{}},{"send":{"type":"rpc.ping"}},{"receive":{"type":"rpc.pong"},` +
			`"lacks":["${nothing}"]}`,
		`{"connect":{}},{"send":{"type":"rpc.ping"}},{"unordered":[{"type":"${nothing}"}]}`,
		`{"connect":{}},{"send":{"type":"rpc.ping"}},{"until":1,"skip":{"type":"${nothing}"}}`,
		`{"connect":{}},{"send":{"type":"rpc.ping"}},{"closed":1000,"skip":{"type":"${nothing}"}}`,
		`{"connect":{}},{"poll":{"send":"${nothing}","until":1,"else":1}}`,
		`{"connect":{}},{"poll":{"send":{"type":"rpc.ping"},"until":1,` +
			`"else":{"type":"${nothing}"}}}`,
		`{"http":{"path":"/${nothing}"}}`,
		`{"http":{"json":{"a":["${nothing}"]}}}`,
		`{"http":{"text":"${nothing}"}}`,
		`{"http":{"headers":{"A":"${nothing}"}}}`,
		`{"http":{"answer":{"contains":["${nothing}"]}}}`,
	} {
		if err := suite(t, map[string]string{"v": steps}).Vectors[0].Run(t.Context(),
			&wsxtest.Target{URL: url}); err == nil ||
			!strings.Contains(err.Error(), "nothing is saved under the name") {
			t.Errorf("%s: %v", steps, err)
		}
	}
}

func TestVector_FailsAWrongHTTPAnswer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, `{"a":1}`)
	}))
	defer srv.Close()
	for _, steps := range []string{
		`{"connect":{}}`,
		`{"connect":{"status":403}}`,
		`{"connect":{"status":418,"subprotocol":"wsx.v1"}}`,
		`{"connect":{"status":418,"answer":{"json":{"a":2}}}}`,
		`{"http":{}}`,
		`{"http":{"status":204}}`,
		`{"http":{"status":418,"answer":{"json":{"a":1,"b":"$any"}}}}`,
		`{"http":{"status":418,"answer":{"empty":true}}}`,
		`{"http":{"status":418,"answer":{"contains":["b"]}}}`,
		`{"http":{"status":418,"answer":{"lacks":["a"]}}}`,
		`{"http":{"status":418,"answer":{"headers":{"Content-Type":"text/plain"}}}}`,
		`{"http":{"status":418,"answer":{"headers":{"Content-Type":"$absent"}}}}`,
		`{"http":{"status":418,"answer":{"headers":{"X-More":"$string"}}}}`,
		`{"http":{"status":418,"answer":{"headers":{"X-More":"$any"}}}}`,
		`{"send":1}`,
		`{"receive":1,"on":"nobody"}`,
	} {
		if err := suite(t, map[string]string{"v": steps}).Vectors[0].Run(t.Context(),
			&wsxtest.Target{URL: srv.URL}); err == nil {
			t.Errorf("%s passed", steps)
		}
	}
	ok := `{"http":{"status":418,"answer":{"json":{"a":1},` +
		`"headers":{"Content-Type":"application/json"}}}},{"connect":{"status":418}}`
	if err := suite(t, map[string]string{"v": ok}).Vectors[0].Run(t.Context(),
		&wsxtest.Target{URL: srv.URL}); err != nil {
		t.Error(err)
	}
}
