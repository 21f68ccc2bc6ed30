package wire_test

import (
	"bytes"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// oracleType is what a JSON-RPC message is, by the members that it has.
func oracleType(members map[string]jsontext.Value, fromServer bool) wire.Type {
	_, isCall := members["method"]
	_, hasID := members["id"]
	_, hasResult := members["result"]
	failure, hasError := members["error"]
	switch {
	case isCall && hasID:
		return wire.Request
	case isCall:
		return wire.Notify
	case hasError && failure.Kind() != 'n':
		return wire.Error
	case hasResult || hasError || fromServer && hasID:
		return wire.Response
	}
	return wire.Unknown
}

// oracleJSONRPC is the specification's sections 4 and 5, one condition after the other, and what is
// taken beyond them.
func oracleJSONRPC(m *wire.Message, members map[string]jsontext.Value, idOK bool) wire.Fault {
	if string(members["id"]) == "null" {
		m.ID, idOK = []byte("null"), true
	}
	if m.Type == wire.Unknown {
		return wire.BadMember
	}
	if m.Type != wire.Notify && !idOK {
		return wire.BadID
	}
	if m.Type == wire.Error {
		return oracleJSONRPCError(m, members["error"])
	}
	if m.Type == wire.Response {
		if m.Result = members["result"]; m.Result == nil {
			m.Result = []byte("null")
		}
		return wire.OK
	}
	if fault := oracleMeta(m, members); fault != wire.OK {
		return fault
	}
	name, ok := oracleText(members["method"])
	if !ok || name == "" || len(name) > 256 {
		return wire.BadMethod
	}
	m.Method = []byte(name)
	switch params := members["params"]; params.Kind() {
	case '{', '[':
		m.Params = params
	case 'n', jsontext.KindInvalid:
	default:
		return wire.BadMember
	}
	return wire.OK
}

func oracleJSONRPCError(m *wire.Message, failure jsontext.Value) wire.Fault {
	if failure.Kind() != '{' {
		message, _ := oracleText(failure)
		m.ErrorText, m.ErrorDetails = []byte(message), failure
		return wire.OK
	}
	in, twice := oracleMembers(failure)
	if len(twice) > 0 {
		return wire.DuplicateName
	}
	message, _ := oracleText(in["message"])
	m.ErrorNumber, m.ErrorText, m.ErrorDetails = in["code"], []byte(message), in["data"]
	if number, ok := oracleText(in["code"]); ok {
		m.ErrorNumber = []byte(number)
	}
	inData, twice := oracleMembers(in["data"])
	if code, ok := oracleText(inData["code"]); ok && len(twice) == 0 {
		m.ErrorCode, m.ErrorDetails = []byte(code), inData["details"]
	}
	return wire.OK
}

// FuzzJSONRPC holds the reading of batches, and of each of their elements, to jsontext.
func FuzzJSONRPC(f *testing.F) {
	for _, s := range jsonrpcSeeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) { compareBatch(t, b) })
}

func TestMessage_ReadsBatchesAsTheOracleDoes(t *testing.T) {
	for _, s := range jsonrpcSeeds() {
		for n := range len(s) + 1 {
			compareBatch(t, []byte(s[:n]))
		}
	}
}

func compareBatch(t *testing.T, b []byte) {
	t.Helper()
	compare(t, b)
	if bytes.Count(b, []byte("["))+bytes.Count(b, []byte("{")) > 9000 {
		return // jsontext ends at a depth of 10,000
	}
	var m wire.Message
	if m.Parse(b, wire.Rules{JSONRPC: true}) != wire.OK || !m.Batch() {
		return
	}
	var want []jsontext.Value
	if err := json.Unmarshal(b, &want, grammarOnly...); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	n := 0
	for raw := range wire.Elements(m.Raw) {
		if n >= len(want) || !bytes.Equal(raw, want[n]) {
			t.Fatalf("%q: element %d is %q", b, n, raw)
		}
		compare(t, raw)
		n++
	}
	if n != len(want) {
		t.Fatalf("%q: %d elements, want %d", b, n, len(want))
	}
	for range wire.Elements(m.Raw) {
		break // a caller may leave early
	}
}

func jsonrpcSeeds() []string {
	call := func(rest string) string { return `{"jsonrpc":"2.0",` + rest + `}` }
	return []string{
		`[]`, ` [ 1 , 2,3 ] `, `[[],[1],{}]`, `["a,]",{"b":"]"}]`,
		`[` + call(`"id":1,"method":"a"`) + ` , ` + call(`"method":"b","params":[1]`) + `]`,
		`[` + call(`"id":1,"method":"a","params":{"x":[{"y":"\"],"}]}`) + `,null,` +
			call(`"id":2,"result":null`) + "\t]",
		call(`"id":null,"method":"a","params":null`), call(`"id":1.5,"method":"a","params":[]`),
		call(`"id":{},"method":"a"`), call(`"id":true,"method":"a"`),
		call(`"id":1,"id":1,"method":"a"`),
		call(`"method":1,"params":"bar"`), call(`"method":""`),
		call(`"id":1,"method":"a","params":"bar"`),
		call(`"id":1,"method":"a","meta":{"timeout_ms":5}`),
		call(`"id":1,"method":"a","meta":{"timeout_ms":0}`), call(`"id":1,"method":"a","meta":7`),
		call(`"id":1,"result":5`), call(`"id":1,"result":5,"error":{}`), call(`"id":1`),
		call(`"result":5`),
		call(`"id":null,"error":{"code":-32700,"message":"Parse error"}`),
		call(`"id":1,"error":{"code":-32050,"message":"x","data":{"code":"MINE","details":[1]}}`),
		call(`"id":1,"error":{"code":-32050,"message":"x","data":{"code":"MINE","code":"MINE"}}`),
		call(`"id":1,"error":{"code":-32050,"message":"x","data":"plain"}`),
		call(`"id":1,"error":{"code":"1","message":"x"}`),
		call(`"id":1,"error":{"code":1,"code":2,"message":"x"}`), call(`"id":1,"error":{"code":1}`),
		call(`"id":1,"error":3`),
		call(`"id":1,"error":"text"`), call(`"id":1,"error":{}`), call(`"id":1,"error":null`),
		call(`"id":1,"result":7,"error":null`),
		call(`"id":1,"result":7,"result":8`), `{"id":1,"result":7}`,
		`{"jsonrpc":"1.0","id":1,"error":{"code":-1,"message":"no"},"result":null}`, `{}`,
		call(`"type":"rpc.request","id":1,"method":"a"`), `{"jsonrpc":"1.0","id":1,"method":"a"}`,
		`WSX://{}`,
	}
}
