package wire

// objectReader walks the members of an object that was scanned before and is known to be JSON.
type objectReader struct {
	s         scanner
	i         int
	seen      names
	duplicate bool // a name occurred twice
}

func object(value []byte) objectReader {
	o := objectReader{s: scanner{b: value}}
	o.i = o.s.space(1)
	return o
}

func (o *objectReader) next() (name, value []byte, ok bool) {
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
	o.duplicate = !o.seen.add(name) || o.duplicate
	return name, o.s.b[at:end], true
}

// names is a set of names: a few of them in place, all of them in a map when there are more, so
// that an object of thousands of members costs no more than their number.
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
