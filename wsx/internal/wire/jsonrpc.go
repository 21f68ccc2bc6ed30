package wire

import (
	"iter"
	"strconv"
)

var null = []byte("null")

// typeJSONRPC tells the type of a JSON-RPC message, also of one that breaks the specification where
// its peers do: an answer may have an error beside its result, null or not, and a server's may have
// neither. Unknown is what is nothing of it.
func (e *envelope) typeJSONRPC(fromServer bool) Type {
	id, result, failure := e.at[mID], e.at[mResult], e.at[mError]
	switch {
	case e.at[mMethod] != nil && id != nil:
		return Request
	case e.at[mMethod] != nil:
		return Notify
	case failure != nil && string(failure) != "null":
		return Error
	case result != nil, failure != nil, fromServer && id != nil:
		return Response
	}
	return Unknown
}

// readJSONRPC fills in the members of one JSON-RPC message, whose type is known. An id of null,
// which the specification allows, is an id here: ID is null then.
func (m *Message) readJSONRPC(e *envelope, idFault Fault) Fault {
	id := e.at[mID]
	if string(id) == "null" {
		m.ID, idFault = id, OK
	}
	switch {
	case m.Type == Unknown:
		return BadMember
	case m.Type != Notify && idFault != OK:
		return idFault
	}
	switch m.Type {
	case Response:
		if m.Result = e.at[mResult]; m.Result == nil {
			m.Result = null
		}
		return OK
	case Error:
		return m.readJSONRPCError(e.at[mError])
	}
	method := e.at[mMethod]
	if f := m.readMeta(e.at[mMeta]); f != OK {
		return f
	}
	var ok bool
	if m.Method, ok = text(method); !ok || len(m.Method) == 0 || len(m.Method) > MaxMethod {
		m.Method = nil
		return BadMethod
	}
	if params := e.at[mParams]; params != nil && string(params) != "null" {
		if params[0] != '{' && params[0] != '[' {
			return BadMember
		}
		m.Params = params
	}
	return OK
}

// readJSONRPCError reads an error object. Where its data is this protocol's, {code, details?},
// these are ErrorCode and ErrorDetails; any other data is ErrorDetails as a whole. Not every peer
// keeps to the specification: the code may be a number in a string or missing, the message missing,
// and an error that is no object is its own message and data.
func (m *Message) readJSONRPCError(value []byte) Fault {
	if value[0] != '{' {
		m.ErrorText, _ = text(value)
		m.ErrorDetails = value
		return OK
	}
	var message, data []byte
	o := object(value)
	for name, value, ok := o.next(); ok; name, value, ok = o.next() {
		switch string(name) {
		case "code":
			m.ErrorNumber = value
		case "message":
			message = value
		case "data":
			data = value
		}
	}
	if o.duplicate {
		return DuplicateName
	}
	m.ErrorText, _ = text(message)
	if number, ok := text(m.ErrorNumber); ok {
		m.ErrorNumber = number
	}
	m.ErrorDetails = data
	if data == nil || data[0] != '{' {
		return OK
	}
	var code, details []byte
	o = object(data)
	for name, value, more := o.next(); more; name, value, more = o.next() {
		switch string(name) {
		case "code":
			code = value
		case "details":
			details = value
		}
	}
	if code, ok := text(code); ok && !o.duplicate {
		m.ErrorCode, m.ErrorDetails = code, details
	}
	return OK
}

// Batch reports whether m is a JSON-RPC batch: an array.
func (m *Message) Batch() bool { return m.Dialect == JSONRPC && len(m.Raw) > 0 && m.Raw[0] == '[' }

// Elements are those of an array, which must be JSON, as they stand in it.
func Elements(array []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		s := scanner{b: array}
		i := s.space(1)
		for s.b[i] != ']' {
			end := s.value(i, 1)
			if !yield(s.b[i:end]) {
				return
			}
			if i = s.space(end); s.b[i] == ',' {
				i = s.space(i + 1)
			}
		}
	}
}

// AppendJSONRPCResultStart appends a JSON-RPC response up to its result, which the caller appends
// and follows with AppendEnd.
func AppendJSONRPCResultStart(dst, id []byte) []byte {
	dst = append(append(dst, `{"jsonrpc":"2.0","id":`...), id...)
	return append(dst, `,"result":`...)
}

// AppendJSONRPCError appends a JSON-RPC response with an error whose data is {code, details?}. An
// id of nil is null; details, JSON, are absent when nil.
func AppendJSONRPCError(dst, id []byte, number int, code, message string, details []byte) []byte {
	dst = appendValue(append(dst, `{"jsonrpc":"2.0","id":`...), id)
	dst = strconv.AppendInt(append(dst, `,"error":{"code":`...), int64(number), 10)
	dst = appendString(dst, `,"message":`, message)
	dst = appendString(dst, `,"data":{"code":`, code)
	if details != nil {
		dst = append(append(dst, `,"details":`...), details...)
	}
	return append(dst, "}}}"...)
}

// AppendJSONRPC appends a JSON-RPC request, or with an id of nil a notification. Params and meta,
// both JSON, are absent when nil.
func AppendJSONRPC(dst, id []byte, method string, params, meta []byte) []byte {
	dst = append(dst, `{"jsonrpc":"2.0"`...)
	if id != nil {
		dst = append(append(dst, `,"id":`...), id...)
	}
	dst = appendString(dst, `,"method":`, method)
	if params != nil {
		dst = append(append(dst, `,"params":`...), params...)
	}
	return AppendEnd(dst, meta)
}

// AppendJSONRPCStart is AppendJSONRPC up to the params, which the caller appends and follows with
// AppendEnd.
func AppendJSONRPCStart(dst, id []byte, method string) []byte {
	dst = AppendJSONRPC(dst, id, method, nil, nil)
	return append(dst[:len(dst)-1], `,"params":`...)
}

// AppendJSONRPCEvent appends the notification that an event is in JSON-RPC; its params are the
// members of an rpc.event.
func AppendJSONRPCEvent(dst []byte, e *EventMembers) []byte {
	dst = AppendJSONRPCStart(dst, nil, "rpc.event")
	return append(e.appendTo(append(dst, '{')), '}')
}
