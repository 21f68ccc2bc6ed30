package wire_test

import (
	"bytes"
	"io"
	"math"
	"math/big"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// grammarOnly makes jsontext accept what RFC 8259 does: duplicate names and lone surrogate escapes
// are JSON.
var grammarOnly = []jsontext.Options{
	jsontext.AllowDuplicateNames(true),
	jsontext.AllowInvalidUTF8(true),
}

// oracle is Message.Parse written the plain way, on jsontext and maps.
func oracle(b []byte, rules wire.Rules) (m wire.Message, f wire.Fault) {
	if rest, ok := bytes.CutPrefix(b, []byte("WSX://")); ok && utf8.Valid(b) && !rules.JSONRPC {
		return wire.Message{Dialect: wire.Tunnel, Raw: rest}, wire.OK
	}
	raw, depth, ok := oracleValue(b)
	if !ok {
		return m, wire.NotJSON
	}
	m.Raw = raw
	members, twice := oracleMembers(raw)

	idOK := false
	if id, ok := members["id"]; ok && !twice["id"] {
		_, isText := oracleText(id)
		idOK = isText || id.Kind() == '0'
		if idOK {
			m.ID = id
		}
	}

	name, _ := oracleText(members["type"])
	version, _ := oracleText(members["jsonrpc"])
	switch {
	case raw.Kind() == '[':
		m.Dialect = wire.JSONRPC
	case strings.HasPrefix(name, "rpc.") && !rules.JSONRPC:
		m.Dialect, m.Type = wire.WSX, oracleTypes[name]
	case version == "2.0" || rules.JSONRPC && rules.FromServer && raw.Kind() == '{':
		m.Dialect, m.Type = wire.JSONRPC, oracleType(members, rules.FromServer)
	default:
		return m, wire.NotMessage
	}
	if rules.Depth == 0 {
		rules.Depth = 32
	}
	if depth > rules.Depth {
		return m, wire.TooDeep
	}
	if len(twice) > 0 {
		return m, wire.DuplicateName
	}
	if m.Dialect == wire.JSONRPC {
		if raw.Kind() == '[' {
			return m, wire.OK
		}
		return m, oracleJSONRPC(&m, members, idOK)
	}
	if fault := oracleMeta(&m, members); fault != wire.OK {
		return m, fault
	}

	textOf := func(name string, into *[]byte) bool {
		s, ok := oracleText(members[name])
		if ok {
			*into = []byte(s)
		}
		return ok
	}
	_, hasID := members["id"]
	fault := wire.OK
	need := func(ok bool, otherwise wire.Fault) {
		if !ok && fault == wire.OK {
			fault = otherwise
		}
	}
	switch m.Type {
	case wire.Notify, wire.Event:
	case wire.Ping, wire.Pong:
		need(idOK || !hasID, wire.BadID)
	case wire.Error:
		need(idOK || string(members["id"]) == "null", wire.BadID)
	default:
		need(idOK, wire.BadID)
	}
	clientsOnly := m.Type == wire.Subscribe || m.Type == wire.Unsubscribe
	if m.Type == wire.Unknown || m.Type == wire.Event && !rules.FromServer || clientsOnly &&
		rules.FromServer {
		return m, wire.UnknownType
	}
	if fault != wire.OK {
		return m, fault
	}

	method := func() {
		m.Params = members["params"]
		ok := textOf("method", &m.Method)
		if !ok || len(m.Method) == 0 || len(m.Method) > 256 {
			m.Method = nil
			fault = wire.BadMethod
		}
	}
	switch m.Type {
	case wire.Request:
		method()
	case wire.Notify:
		if !rules.FromServer {
			method()
			break
		}
		m.Payload = members["payload"]
		need(textOf("event", &m.Event), wire.BadMember)
	case wire.Response:
		m.Result = members["result"]
		need(m.Result != nil, wire.BadMember)
	case wire.Error:
		if members["error"].Kind() != '{' {
			return m, wire.BadMember
		}
		inError, twice := oracleMembers(members["error"])
		m.ErrorDetails = inError["details"]
		if len(twice) > 0 {
			return m, wire.DuplicateName
		}
		code, okCode := oracleText(inError["code"])
		text, okText := oracleText(inError["message"])
		m.ErrorCode, m.ErrorText = []byte(code), []byte(text)
		need(okCode && okText, wire.BadMember)
	case wire.Stream:
		m.Item = members["item"]
		need(m.Item != nil, wire.BadMember)
		need(regexp.MustCompile(`^[0-9]+$`).Match(members["seq"]), wire.BadMember)
		if fault == wire.OK {
			seq, _ := new(big.Int).SetString(string(members["seq"]), 10)
			m.Seq = math.MaxUint64
			if seq.IsUint64() {
				m.Seq = seq.Uint64()
			}
		}
	case wire.Cancel, wire.Ping, wire.Pong:
	case wire.Subscribe:
		m.Params, m.Recover = members["params"], members["recover"]
		need(textOf("channel", &m.Channel), wire.BadMember)
		need(m.Recover == nil || m.Recover[0] == '{', wire.BadMember)
	case wire.Unsubscribe:
		_, hasSubscription := members["subscription"]
		_, hasChannel := members["channel"]
		if !hasSubscription && !hasChannel {
			need(textOf("id", &m.Subscription), wire.BadMember)
		}
		if hasSubscription {
			need(textOf("subscription", &m.Subscription), wire.BadMember)
		}
		if hasChannel {
			need(textOf("channel", &m.Channel), wire.BadMember)
		}
	case wire.Event:
		m.Payload = members["payload"]
		need(textOf("channel", &m.Channel), wire.BadMember)
		need(m.Payload != nil, wire.BadMember)
	}
	return m, fault
}

func oracleMeta(m *wire.Message, members map[string]jsontext.Value) wire.Fault {
	meta, ok := members["meta"]
	if !ok {
		return wire.OK
	}
	if meta.Kind() != '{' {
		return wire.BadMeta
	}
	inMeta, twice := oracleMembers(meta)
	if len(twice) > 0 {
		return wire.DuplicateName
	}
	if timeout, ok := inMeta["timeout_ms"]; ok {
		if !regexp.MustCompile(`^[0-9]*[1-9][0-9]*$`).Match(timeout) {
			return wire.BadTimeout
		}
		ns, _ := new(big.Int).SetString(string(timeout), 10)
		ns.Mul(ns, big.NewInt(int64(time.Millisecond)))
		if ns.IsInt64() {
			m.Timeout = time.Duration(ns.Int64())
		} else {
			m.Timeout = time.Duration(math.MaxInt64).Truncate(time.Millisecond)
		}
	}
	m.Meta = meta
	return wire.OK
}

var oracleTypes = map[string]wire.Type{
	"rpc.request": wire.Request, "rpc.response": wire.Response, "rpc.error": wire.Error,
	"rpc.stream": wire.Stream,
	"rpc.cancel": wire.Cancel, "rpc.notify": wire.Notify, "rpc.subscribe": wire.Subscribe,
	"rpc.unsubscribe": wire.Unsubscribe, "rpc.event": wire.Event, "rpc.ping": wire.Ping,
	"rpc.pong": wire.Pong,
}

// oracleValue returns the one value that b holds and how deep it nests.
func oracleValue(b []byte) (value jsontext.Value, depth int, ok bool) {
	if !utf8.Valid(b) {
		return nil, 0, false
	}
	d := jsontext.NewDecoder(bytes.NewReader(b), grammarOnly...)
	value, err := d.ReadValue()
	if err != nil {
		return nil, 0, false
	}
	value = bytes.Clone(value)
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, 0, false
	}
	d = jsontext.NewDecoder(bytes.NewReader(value), grammarOnly...)
	for {
		if _, err := d.ReadToken(); err != nil {
			return value, depth, true
		}
		depth = max(depth, d.StackDepth())
	}
}

// oracleMembers returns the first value of each member, and the names that occur twice.
func oracleMembers(value jsontext.Value) (members map[string]jsontext.Value,
	twice map[string]bool,
) {
	members, twice = map[string]jsontext.Value{}, map[string]bool{}
	if value.Kind() != '{' {
		return members, twice
	}
	d := jsontext.NewDecoder(bytes.NewReader(value), grammarOnly...)
	_, _ = d.ReadToken()
	for d.PeekKind() == '"' {
		token, _ := d.ReadToken()
		name := token.String()
		member, _ := d.ReadValue()
		if _, known := members[name]; known {
			twice[name] = true
			continue
		}
		members[name] = bytes.Clone(member)
	}
	return members, twice
}

// oracleText is the string that value is, if it is one with a UTF-8 form.
func oracleText(value jsontext.Value) (string, bool) {
	var s string
	if value.Kind() != '"' || json.Unmarshal(value, &s) != nil {
		return "", false
	}
	return s, true
}
