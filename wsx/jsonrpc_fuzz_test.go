package wsx_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

// FuzzJSONRPC holds whole messages to the specification: who has to be answered is, once and by the
// id, with a result or an error, and nothing else is sent.
func FuzzJSONRPC(f *testing.F) {
	for _, e := range strings.Split(jsonrpcExamples, "-->")[1:] {
		send, _, _ := strings.Cut(e, "<--")
		f.Add(strings.TrimSpace(send))
	}
	f.Add(array(jsonrpc("1", "sum", "[1,2]"), jsonrpc("1", "sum", "[3]"), jsonrpc("", "update", ""),
		`{"jsonrpc":"2.0","id":2}`, "[]"))
	f.Add(jsonrpc("null", "subtract", `{"minuend":1e400}`))
	f.Add(array(jsonrpc("{}", "sum", ""), jsonrpc(`"\u0041"`, "sum", `7`),
		jsonrpc(`-0.0`, "get_data", `null`)))
	h := wsx.JSONRPC(specDispatcher(), nil)
	f.Fuzz(func(t *testing.T, body string) {
		want, isBatch, ok := answeredIDs(body)
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		got := w.Body.String()
		if !ok {
			return // a panic is all that could be wrong
		}
		if len(want) == 0 {
			if w.Code != http.StatusNoContent || got != "" {
				t.Fatalf("%q is answered %d %s", body, w.Code, got)
			}
			return
		}
		answers := []jsontext.Value{jsontext.Value(got)}
		if isBatch {
			decodeAnswer(t, got, &answers)
		}
		var ids []string
		for _, answer := range answers {
			var members map[string]jsontext.Value
			decodeAnswer(t, string(answer), &members)
			_, result := members["result"]
			_, failure := members["error"]
			if result == failure || len(members) != 3 || string(members["jsonrpc"]) != `"2.0"` {
				t.Fatalf("%q is answered %s", body, got)
			}
			ids = append(ids, string(members["id"]))
		}
		slices.Sort(ids)
		slices.Sort(want)
		if w.Code != http.StatusOK || !slices.Equal(ids, want) {
			t.Fatalf("%q is answered %d %s, want the ids %q", body, w.Code, got, want)
		}
	})
}

// answeredIDs returns the ids of the answers that a message must get. It reads plainly, and not
// what this server refuses as a whole for reasons of its own: duplicate names, sizes, depth.
func answeredIDs(body string) (ids []string, isBatch, ok bool) {
	raw := jsontext.Value(body)
	if !raw.IsValid() || len(body) > 1000 ||
		strings.Count(body, "[")+strings.Count(body, "{") > 30 {
		return nil, false, false
	}
	elements := []jsontext.Value{raw}
	if isBatch = raw.Kind() == '['; isBatch {
		if json.Unmarshal(raw, &elements) != nil || len(elements) == 0 || len(elements) > 20 {
			return nil, false, false
		}
	}
	for _, element := range elements {
		var m map[string]jsontext.Value
		if element.Kind() != '{' || json.Unmarshal(element, &m) != nil {
			ids = append(ids, "null")
			continue
		}
		var version, method string
		_ = json.Unmarshal(m["jsonrpc"], &version)
		isCall := m["method"].Kind() == '"' && json.Unmarshal(m["method"], &method) == nil &&
			method != "" && len(method) <= 256
		_, answersSomething := m["result"]
		if _, isError := m["error"]; isError {
			answersSomething = true
		}
		if _, hasMeta := m["meta"]; hasMeta || answersSomething && m["method"] == nil {
			return nil, false, false
		}
		switch m["params"].Kind() {
		case jsontext.KindInvalid, 'n', '[', '{':
		default:
			isCall = false
		}
		id, hasID := m["id"]
		switch {
		case hasID && (id.Kind() == '"' || id.Kind() == '0'):
			ids = append(ids, string(id))
		case hasID || !isCall || version != "2.0":
			ids = append(ids, "null")
		}
	}
	return ids, isBatch, true
}
