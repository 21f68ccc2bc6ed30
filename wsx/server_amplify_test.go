package wsx_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/genropy/genro-asgi-go/wsx"
)

// mostReply is how many bytes may answer a message of n bytes that is wrong.
func mostReply(n int) int { return max(512, 10*n) }

// malformed are messages that nothing comes of, the shortest of each kind.
func malformed() []string {
	deep := strings.Repeat("[", 33) + strings.Repeat("]", 33)
	all := []string{
		"", " ", "x", "\x00", "{", "}", `"`, "nul", "1", "0", "null", "true", `""`, "{}", `{"a":1}`,
		deep, `{"type":1}`, `{"type":"x"}`, `{"type":"rpc."}`, `{"type":"rpc.x","id":1}`,
		`{"type":"rpc.request"}`, `{"type":"rpc.request","id":1}`, `{"type":"rpc.request","id":[]}`,
		`{"type":"rpc.request","id":1,"id":1}`, request("1", "", ""),
		`{"type":"rpc.request","id":1,"method":"m","meta":1}`,
		`{"type":"rpc.request","id":1,"method":"m","meta":{"timeout_ms":0}}`,
		`{"type":"rpc.request","id":1,"params":` + deep + `}`, `{"type":"rpc.notify"}`,
		`{"type":"rpc.subscribe"}`, `{"type":"rpc.subscribe","id":1}`,
		`{"type":"rpc.unsubscribe","id":1,"channel":1}`, `{"type":"rpc.cancel"}`,
		`{"type":"rpc.ping","id":[]}`, `{"type":"rpc.response"}`, `{"type":"rpc.error","id":1}`,
		`{"type":"rpc.request","id":"` + strings.Repeat("i", 2000) + `"}`,
		`{"jsonrpc":"2.0"}`, `{"jsonrpc":"2.0","id":1}`, `{"jsonrpc":"2.0","method":1}`,
		`{"jsonrpc":"2.0","id":1,"id":2}`, `{"jsonrpc":"2.0","id":{},"method":"m"}`,
		`{"jsonrpc":"2.0","id":1,"meta":1,"method":"m"}`,
		jsonrpc("1", "m", "1"), jsonrpc("1", "m", deep),
		"[]", "[[]]", "[[],[]]", "[{}]", "[1", "[,]", array(`{"jsonrpc":"2.0"}`, "1"),
		"WSX://", "WSX://x", "WSX://[]", "WSX://{}", `WSX://{"id":1}`, `WSX://{"id":1,"id":1}`,
		tunnelled("1", "", "", ""), tunnelled("1", "GET", "x", withID),
		tunnelled("1", "GET", "/", `,"query":7`), tunnelled("1", "GET", "/", `,"headers":7`),
		tunnelled("1", "GET", "/", `,"data":`+deep),
	}
	for n := 1; n <= 120; n++ { // about where faults are told together, and where a batch ends
		for _, element := range []string{
			"1", "{}", `"abc"`, `{"a":1}`, `{"abc":1}`, `{"jsonrpc":"2.0"}`,
			`{"jsonrpc":"2.0","id":1}`, `{"jsonrpc":"2.0","id":{}}`,
		} {
			all = append(all, array(slices.Repeat([]string{element}, n)...))
		}
	}
	return all
}

// repliesTo is how many bytes answer a message.
func (s *socket) repliesTo(message string) (bytes int, seen string) {
	s.t.Helper()
	s.send(message, ping)
	for {
		got := s.read()
		if got == pong {
			return bytes, seen
		}
		bytes += len(got)
		seen += got
	}
}

// Some are too short for any answer to be within ten times their length.
func TestServer_TellsFaultsInTenTimesTheirLength(t *testing.T) {
	opts := &wsx.ServerOptions{HTTP: http.NotFoundHandler()}
	s := dial(t, wsx.NewDispatcher(), opts)
	h := wsx.JSONRPC(wsx.NewDispatcher(), nil)
	check := func(t interface{ Errorf(string, ...any) }, message string) {
		if n, seen := s.repliesTo(message); n > mostReply(len(message)) {
			t.Errorf("%d bytes for the %d of %.100q: %.300s", n, len(message), message, seen)
		}
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(message))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if n := w.Body.Len(); n > mostReply(len(message)) {
			t.Errorf("%d bytes by POST for the %d of %.100q", n, len(message), message)
		}
	}
	for _, message := range malformed() {
		check(t, message)
	}
	part := rapid.SampledFrom([]string{
		"[", "]", "{", "}", ",", ":", "1", "null", `"`, `"id"`, `"type"`, `"rpc.x"`, `"method"`,
		`"rpc.request"`, `"jsonrpc":"2.0"`, `"\u0000"`, "WSX://", `"path"`, " ", "é", "{},", "1,",
		`{"jsonrpc":"2.0"}`, `{"id":1,`, `"jsonrpc":"2.0","id":1`,
	})
	rapid.Check(t, func(t *rapid.T) {
		check(t, strings.Join(rapid.SliceOfN(part, 0, 30).Draw(t, "parts"), ""))
	})
}
