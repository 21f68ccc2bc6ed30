package wire_test

import (
	"bytes"
	stdjson "encoding/json"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

var benchMessages = []struct{ name, text string }{
	{"add", `{"type":"rpc.request","id":1,"method":"add","params":{"a":2,"b":40}}`},
	{
		"meta",
		`{"type":"rpc.request","id":"c0ffee-17","method":"orders.get","params":{"id":17,` +
			`"expand":["lines","customer"]},"meta":{"timeout_ms":5000,` +
			`"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}}`,
	},
	{
		"8KiB",
		`{"type":"rpc.request","id":1,"method":"store","params":{"rows":[` +
			strings.Repeat(`{"id":123456,"name":"Ada Lovelace","tags":["a","b"],"at":1.5e3},`,
				124) + `null]}}`,
	},
	{
		"text64KiB",
		`{"type":"rpc.request","id":1,"method":"store","params":"` +
			strings.Repeat("the quick brown fox ", 3200) + `"}`,
	},
}

// v2Envelope and v1Envelope are what the envelope would be read with without the scanner.
type v2Envelope struct {
	Type   string         `json:"type"`
	ID     jsontext.Value `json:"id"`
	Method string         `json:"method"`
	Params jsontext.Value `json:"params"`
	Meta   struct {
		Timeout int64 `json:"timeout_ms"`
	} `json:"meta"`
}

type v1Envelope struct {
	Type   string             `json:"type"`
	ID     stdjson.RawMessage `json:"id"`
	Method string             `json:"method"`
	Params stdjson.RawMessage `json:"params"`
	Meta   struct {
		Timeout int64 `json:"timeout_ms"`
	} `json:"meta"`
}

// BenchmarkParse measures the scanner beside the plain ways to read the same envelope.
func BenchmarkParse(b *testing.B) {
	for _, in := range benchMessages {
		text := []byte(in.text)
		run := func(name string, parse func() bool) {
			b.Run(in.name+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(text)))
				for b.Loop() {
					if !parse() {
						b.Fatal("refused")
					}
				}
			})
		}
		var m wire.Message
		run("scanner", func() bool { return m.Parse(text, wire.Rules{}) == wire.OK })
		run("jsontext", func() bool { return readTokens(text) })
		run("json-v2", func() bool { return json.Unmarshal(text, new(v2Envelope)) == nil })
		run("encoding-json", func() bool { return stdjson.Unmarshal(text, new(v1Envelope)) == nil })
	}
}

// readTokens is the simple version on jsontext: names and raw values, type and method unquoted.
func readTokens(text []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(text), grammarOnly...)
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return false
	}
	var kind, method string
	for d.PeekKind() == '"' {
		name, err := d.ReadValue()
		if err != nil {
			return false
		}
		key := string(name)
		value, err := d.ReadValue()
		if err != nil {
			return false
		}
		switch key {
		case `"type"`:
			kind = string(value)
		case `"method"`:
			method = string(value)
		}
	}
	return kind != "" && method != ""
}

// BenchmarkAppendResponse measures writing a response beside marshalling the same as a struct.
func BenchmarkAppendResponse(b *testing.B) {
	id, result := []byte("1"), []byte(`{"sum":42}`)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		var dst []byte
		for b.Loop() {
			dst = wire.AppendResponse(dst[:0], id, result, nil)
		}
	})
	b.Run("json-v2", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := json.Marshal(struct {
				Type   string         `json:"type"`
				ID     jsontext.Value `json:"id"`
				Result jsontext.Value `json:"result"`
			}{"rpc.response", id, result}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
