package wire

import "unicode/utf8"

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
	at        [members][]byte // values; nil when absent
	duplicate bool            // some name occurs twice
	twoIDs    bool            // the name id does
	others    names
}

// Parse reads b, one whole WebSocket message, into m, replacing what m held. The fields of m are
// parts of b. With a fault other than OK, m has the dialect, the type and the id as far as they
// could be told.
func (m *Message) Parse(b []byte, rules Rules) Fault {
	*m = Message{}
	if len(b) >= len(TunnelPrefix) && string(b[:len(TunnelPrefix)]) == TunnelPrefix &&
		!rules.JSONRPC {
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
	m.Dialect = e.dialect(b[start], m, rules)
	depth := rules.Depth
	if depth <= 0 {
		depth = DefaultDepth
	}
	switch {
	case m.Dialect == None:
		return NotMessage
	case s.deepest > depth:
		return TooDeep
	case e.duplicate:
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
			e.duplicate = true
		}
	case e.at[k] == nil:
		e.at[k] = value
	default:
		e.duplicate = true
		e.twoIDs = e.twoIDs || k == mID
	}
}

// dialect tells the dialect and sets the type.
func (e *envelope) dialect(first byte, m *Message, rules Rules) Dialect {
	if first == '[' {
		return JSONRPC
	}
	if name, ok := text(e.at[mType]); ok && !rules.JSONRPC && len(name) >= 4 &&
		string(name[:4]) == "rpc." {
		m.Type = typeOf(name)
		return WSX
	}
	if version, ok := text(e.at[mJSONRPC]); ok && string(version) == "2.0" || rules.JSONRPC &&
		rules.FromServer && first == '{' {
		m.Type = e.typeJSONRPC(rules.FromServer)
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

// readID sets the id when there is one that can be echoed, and tells whether a type that must have
// one has it.
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
