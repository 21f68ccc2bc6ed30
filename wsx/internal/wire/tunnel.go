package wire

import "unicode/utf8"

// TunnelRequest is a message of the HTTP tunnel, read. Its fields are parts of what was parsed, but
// for names with escapes.
type TunnelRequest struct {
	// a JSON string or number, byte for byte; set also with a fault, where it can be read
	ID     []byte
	Method []byte // unescaped
	Path   []byte // unescaped as JSON, not as a URL

	Headers []byte // JSON, nil when absent, as the next two
	Query   []byte
	Data    []byte
}

// Parse reads what follows the prefix of a tunnelled request, strictly. Whether its members make an
// HTTP request is not looked at.
func (t *TunnelRequest) Parse(raw []byte, depth int) Fault {
	*t = TunnelRequest{}
	s := scanner{b: raw}
	start := s.space(0)
	end := s.value(start, 0)
	if end < 0 || s.space(end) != len(raw) || s.wide && !utf8.Valid(raw) {
		return NotJSON
	}
	if raw[start] != '{' {
		return NotMessage
	}
	if depth <= 0 {
		depth = DefaultDepth
	}
	var e envelope
	var method, path []byte
	o := object(raw[start:end])
	for name, value, ok := o.next(); ok; name, value, ok = o.next() {
		switch string(name) {
		case "id":
			e.twoIDs = e.at[mID] != nil
			e.at[mID] = value
		case "method":
			method = value
		case "path":
			path = value
		case "headers":
			t.Headers = value
		case "query":
			t.Query = value
		case "data":
			t.Data = value
		}
	}
	var m Message
	fault := m.readID(&e)
	t.ID = m.ID
	switch {
	case s.deepest > depth:
		return TooDeep
	case o.duplicate:
		return DuplicateName
	case fault != OK:
		return fault
	}
	var okMethod, okPath bool
	t.Method, okMethod = text(method)
	t.Path, okPath = text(path)
	if !okMethod || !okPath {
		return BadMember
	}
	return OK
}

// AppendTunnelStart appends an answer of the tunnel up to its id, which the caller follows with its
// other members and AppendEnd. An id of nil is null.
func AppendTunnelStart(dst, id []byte) []byte {
	return appendValue(append(dst, TunnelPrefix+`{"id":`...), id)
}

// Valid reports whether b is one JSON value in UTF-8, by the grammar alone.
func Valid(b []byte) bool {
	s := scanner{b: b}
	end := s.value(s.space(0), 0)
	return end >= 0 && s.space(end) == len(b) && (!s.wide || utf8.Valid(b))
}
