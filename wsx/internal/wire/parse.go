package wire

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The members that the protocol knows, as indexes.
const (
	mType = iota
	mJSONRPC
	mID
	mMethod
	mParams
	mMeta
	mEvent
	mPayload
	mResult
	mError
	mItem
	mSeq
	mChannel
	mSubscription
	mRecover
	members
)

func memberIndex(name []byte) int {
	switch string(name) {
	case "type":
		return mType
	case "jsonrpc":
		return mJSONRPC
	case "id":
		return mID
	case "method":
		return mMethod
	case "params":
		return mParams
	case "meta":
		return mMeta
	case "event":
		return mEvent
	case "payload":
		return mPayload
	case "result":
		return mResult
	case "error":
		return mError
	case "item":
		return mItem
	case "seq":
		return mSeq
	case "channel":
		return mChannel
	case "subscription":
		return mSubscription
	case "recover":
		return mRecover
	}
	return -1
}

// envelope is a message's object with its members found but not yet understood.
type envelope struct {
	at     [members][]byte // values; nil when absent
	twice  bool            // some name occurs twice
	twoIDs bool            // the name id does
	others names
}

// Parse reads b, one whole WebSocket message, into m, replacing what m held. The fields of m are parts of b.
// With a fault other than OK, m has the dialect, the type and the id as far as they could be told.
func (m *Message) Parse(b []byte, rules Rules) Fault {
	*m = Message{}
	if len(b) >= len(TunnelPrefix) && string(b[:len(TunnelPrefix)]) == TunnelPrefix && !rules.JSONRPC {
		if !utf8.Valid(b) {
			return NotJSON
		}
		m.Dialect, m.Raw = Tunnel, b[len(TunnelPrefix):]
		return OK
	}

	s := scanner{b: b}
	var e envelope
	start := s.space(0)
	var end int
	if start < len(b) && b[start] == '{' {
		end = s.envelope(start, &e)
	} else {
		end = s.value(start, 0)
	}
	if end < 0 || s.space(end) != len(b) || s.wide && !utf8.Valid(b) {
		return NotJSON
	}
	m.Raw = b[start:end]

	idFault := m.readID(&e)
	m.Dialect = e.dialect(b[start], m, rules.JSONRPC)
	depth := rules.Depth
	if depth <= 0 {
		depth = DefaultDepth
	}
	switch {
	case m.Dialect == None:
		return NotMessage
	case s.deepest > depth:
		return TooDeep
	case e.twice:
		return DuplicateName
	case m.Dialect == JSONRPC && b[start] == '[':
		return OK
	case m.Dialect == JSONRPC:
		return m.readJSONRPC(&e, idFault)
	}
	return m.read(&e, rules, idFault)
}

// envelope reads the object at i and notes its members.
func (s *scanner) envelope(i int, e *envelope) int {
	s.deepest = 1
	i = s.space(i + 1)
	if i < len(s.b) && s.b[i] == '}' {
		return i + 1
	}
	for {
		name, escaped, next := s.name(i)
		if next < 0 {
			return -1
		}
		end := s.value(next, 1)
		if end < 0 {
			return -1
		}
		e.add(unquote(name, escaped), s.b[next:end])
		i = s.space(end)
		if i >= len(s.b) {
			return -1
		}
		switch s.b[i] {
		case ',':
			i = s.space(i + 1)
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

func (e *envelope) add(name, value []byte) {
	k := memberIndex(name)
	switch {
	case k < 0:
		if !e.others.add(name) {
			e.twice = true
		}
	case e.at[k] == nil:
		e.at[k] = value
	default:
		e.twice = true
		e.twoIDs = e.twoIDs || k == mID
	}
}

// dialect tells the dialect and, for WSX, sets the type. With only, there is none but JSON-RPC.
func (e *envelope) dialect(first byte, m *Message, only bool) Dialect {
	if first == '[' {
		return JSONRPC
	}
	if name, ok := text(e.at[mType]); ok && !only && len(name) >= 4 && string(name[:4]) == "rpc." {
		m.Type = typeOf(name)
		return WSX
	}
	if version, ok := text(e.at[mJSONRPC]); ok && string(version) == "2.0" {
		return JSONRPC
	}
	return None
}

func typeOf(name []byte) Type {
	switch string(name) {
	case "rpc.request":
		return Request
	case "rpc.response":
		return Response
	case "rpc.error":
		return Error
	case "rpc.stream":
		return Stream
	case "rpc.cancel":
		return Cancel
	case "rpc.notify":
		return Notify
	case "rpc.subscribe":
		return Subscribe
	case "rpc.unsubscribe":
		return Unsubscribe
	case "rpc.event":
		return Event
	case "rpc.ping":
		return Ping
	case "rpc.pong":
		return Pong
	}
	return Unknown
}

// readID sets the id when there is one that can be echoed, and tells whether a type that must have one has it.
func (m *Message) readID(e *envelope) Fault {
	id := e.at[mID]
	if id == nil || e.twoIDs {
		return BadID
	}
	switch c := id[0]; {
	case c == '"':
		if _, ok := text(id); !ok {
			return BadID
		}
	case c != '-' && !isDigit(c):
		return BadID
	}
	m.ID = id
	return OK
}

// read fills in and checks the members that the type uses.
func (m *Message) read(e *envelope, rules Rules, idFault Fault) Fault {
	if f := m.readMeta(e.at[mMeta]); f != OK {
		return f
	}
	if m.Type == Unknown || !rules.FromServer && m.Type == Event ||
		rules.FromServer && (m.Type == Subscribe || m.Type == Unsubscribe) {
		return UnknownType
	}
	switch m.Type {
	case Notify, Event:
		idFault = OK // they have no id
	case Ping, Pong:
		if e.at[mID] == nil {
			idFault = OK
		}
	case Error:
		if string(e.at[mID]) == "null" {
			idFault = OK
		}
	}
	if idFault != OK {
		return idFault
	}

	ok := true
	switch m.Type {
	case Notify:
		if rules.FromServer {
			m.Payload = e.at[mPayload]
			m.Event, ok = text(e.at[mEvent])
			break
		}
		fallthrough
	case Request:
		m.Params = e.at[mParams]
		if m.Method, ok = text(e.at[mMethod]); !ok || len(m.Method) == 0 || len(m.Method) > MaxMethod {
			m.Method = nil
			return BadMethod
		}
	case Response:
		m.Result = e.at[mResult]
		ok = m.Result != nil
	case Error:
		return m.readError(e.at[mError])
	case Stream:
		m.Item = e.at[mItem]
		m.Seq, ok = integer(e.at[mSeq])
		ok = ok && m.Item != nil
	case Subscribe:
		m.Params, m.Recover = e.at[mParams], e.at[mRecover]
		m.Channel, ok = text(e.at[mChannel])
		ok = ok && (m.Recover == nil || m.Recover[0] == '{')
	case Unsubscribe:
		ok = m.readUnsubscribe(e)
	case Event:
		m.Payload = e.at[mPayload]
		m.Channel, ok = text(e.at[mChannel])
		ok = ok && m.Payload != nil
	}
	if !ok {
		return BadMember
	}
	return OK
}

func (m *Message) readUnsubscribe(e *envelope) bool {
	ok := true
	if e.at[mSubscription] == nil && e.at[mChannel] == nil { // the id, a string, names the subscription
		m.Subscription, ok = text(m.ID)
		return ok
	}
	if e.at[mSubscription] != nil {
		m.Subscription, ok = text(e.at[mSubscription])
	}
	if ok && e.at[mChannel] != nil {
		m.Channel, ok = text(e.at[mChannel])
	}
	return ok
}

func (m *Message) readMeta(meta []byte) Fault {
	if meta == nil {
		return OK
	}
	if meta[0] != '{' {
		return BadMeta
	}
	var timeout []byte
	o := object(meta)
	for name, value, ok := o.next(); ok; name, value, ok = o.next() {
		switch string(name) {
		case "timeout_ms":
			timeout = value
		case "progress":
			m.Progress = value
		case "window":
			m.Window, _ = integer(value)
		}
	}
	if o.twice {
		return DuplicateName
	}
	if timeout != nil {
		ms, ok := integer(timeout)
		if !ok || ms == 0 {
			return BadTimeout
		}
		m.Timeout = time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
	}
	m.Meta = meta
	return OK
}

func (m *Message) readError(value []byte) Fault {
	if value == nil || value[0] != '{' {
		return BadMember
	}
	var code, message []byte
	o := object(value)
	for name, value, ok := o.next(); ok; name, value, ok = o.next() {
		switch string(name) {
		case "code":
			code = value
		case "message":
			message = value
		case "details":
			m.ErrorDetails = value
		}
	}
	if o.twice {
		return DuplicateName
	}
	var okCode, okMessage bool
	m.ErrorCode, okCode = text(code)
	m.ErrorText, okMessage = text(message)
	if !okCode || !okMessage {
		return BadMember
	}
	return OK
}

// ReadAck reads the params, or the payload, of a wsx.ack: the id is nil when it is none.
func ReadAck(value []byte) (id []byte, next uint64) {
	if len(value) == 0 || value[0] != '{' {
		return nil, 0
	}
	o := object(value)
	whole := false
	for name, value, ok := o.next(); ok; name, value, ok = o.next() {
		switch string(name) {
		case "id":
			id = value
		case "next":
			next, whole = integer(value)
		}
	}
	if o.twice || !whole {
		return nil, 0
	}
	return id, next
}

// reader walks the members of an object that was scanned before and is known to be JSON.
type reader struct {
	s     scanner
	i     int
	seen  names
	twice bool
}

func object(value []byte) reader {
	o := reader{s: scanner{b: value}}
	o.i = o.s.space(1)
	return o
}

func (o *reader) next() (name, value []byte, ok bool) {
	if o.s.b[o.i] == '}' {
		return nil, nil, false
	}
	name, escaped, at := o.s.name(o.i)
	end := o.s.value(at, 1)
	o.i = o.s.space(end)
	if o.s.b[o.i] == ',' {
		o.i = o.s.space(o.i + 1)
	}
	name = unquote(name, escaped)
	o.twice = !o.seen.add(name) || o.twice
	return name, o.s.b[at:end], true
}

// names is a set of names: a few of them in place, all of them in a map when there are more, so that an object of
// thousands of members costs no more than their number.
type names struct {
	few  [8][]byte
	n    int
	many map[string]struct{}
}

// add reports whether name is new.
func (s *names) add(name []byte) bool {
	if s.many != nil {
		if _, known := s.many[string(name)]; known {
			return false
		}
		s.many[string(name)] = struct{}{}
		return true
	}
	for _, known := range s.few[:s.n] {
		if string(known) == string(name) {
			return false
		}
	}
	if s.n < len(s.few) {
		s.few[s.n] = name
		s.n++
		return true
	}
	s.many = make(map[string]struct{}, 4*len(s.few))
	for _, known := range s.few {
		s.many[string(known)] = struct{}{}
	}
	s.many[string(name)] = struct{}{}
	return true
}

// unquote is what a string that was scanned says. Lone surrogates become U+FFFD.
func unquote(quoted []byte, escaped bool) []byte {
	if !escaped {
		return quoted[1 : len(quoted)-1]
	}
	plain, _ := jsontext.AppendUnquote(make([]byte, 0, len(quoted)), quoted)
	return plain
}

// text is what value, which was scanned, says if it is a string that has a UTF-8 form.
func text(value []byte) ([]byte, bool) {
	if len(value) == 0 || value[0] != '"' {
		return nil, false
	}
	for _, c := range value {
		if c == '\\' {
			plain, err := jsontext.AppendUnquote(make([]byte, 0, len(value)), value)
			return plain, err == nil
		}
	}
	return value[1 : len(value)-1], true
}

// integer is value, which was scanned, as an integer of zero or more without fraction or exponent; what exceeds a
// uint64 is the largest.
func integer(value []byte) (uint64, bool) {
	if len(value) == 0 {
		return 0, false
	}
	for _, c := range value {
		if !isDigit(c) {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(string(value), 10, 64) // out of range gives the largest
	if err != nil {
		n = math.MaxUint64
	}
	return n, true
}
