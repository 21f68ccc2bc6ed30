package wire

import (
	"math"
	"time"
)

// read fills in and checks the members that the type uses.
func (m *Message) read(e *envelope, rules Rules, idFault Fault) Fault {
	if f := m.readMeta(e.at[mMeta]); f != OK {
		return f
	}
	if m.Type == Unknown || !rules.FromServer && m.Type == Event ||
		rules.FromServer && (m.Type == Subscribe || m.Type == Unsubscribe) {
		return UnknownType
	}
	if idFault != OK && m.needsID(e.at[mID]) {
		return idFault
	}
	switch m.Type {
	case Notify:
		if rules.FromServer {
			return m.readServerNotify(e)
		}
		return m.readCall(e)
	case Request:
		return m.readCall(e)
	case Error:
		return m.readError(e.at[mError])
	}
	ok := true
	switch m.Type {
	case Response:
		m.Result = e.at[mResult]
		ok = m.Result != nil
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

// needsID reports whether a message of m's type whose member id is this, nil when absent, is to
// have one that can be echoed.
func (m *Message) needsID(id []byte) bool {
	switch m.Type {
	case Notify, Event:
		return false
	case Ping, Pong:
		return id != nil
	case Error:
		return string(id) != "null"
	}
	return true
}

// readCall reads a request's, or a client's notification's, method and params.
func (m *Message) readCall(e *envelope) Fault {
	m.Params = e.at[mParams]
	var ok bool
	if m.Method, ok = text(e.at[mMethod]); !ok || len(m.Method) == 0 || len(m.Method) > MaxMethod {
		m.Method = nil
		return BadMethod
	}
	return OK
}

func (m *Message) readServerNotify(e *envelope) Fault {
	m.Payload = e.at[mPayload]
	var ok bool
	if m.Event, ok = text(e.at[mEvent]); !ok {
		return BadMember
	}
	return OK
}

func (m *Message) readUnsubscribe(e *envelope) bool {
	ok := true
	if e.at[mSubscription] == nil && e.at[mChannel] == nil {
		// the id, a string, names the subscription
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
	if o.duplicate {
		return DuplicateName
	}
	if timeout != nil {
		ms, ok := integer(timeout)
		if !ok || ms == 0 {
			return BadTimeout
		}
		m.Timeout = time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond))) *
			time.Millisecond
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
	if o.duplicate {
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
	if o.duplicate || !whole {
		return nil, 0
	}
	return id, next
}
