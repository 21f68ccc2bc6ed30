package wire

import (
	"encoding/binary"
	"math/bits"
)

// scanner finds where the values of a JSON text begin and end and checks the grammar (RFC 8259) on
// the way. Its methods take the index to begin at and return the index after what they read, or -1
// when it is not JSON. It does not recurse, so that a deep text costs a bit for each level and no
// stack. UTF-8 is checked by the caller, once for the whole text, when wide says that it must.
type scanner struct {
	b    []byte
	wide bool // a byte above 0x7f was seen in a string
	// the deepest level seen; the level of the text's own value is 1 when it is an object or array
	deepest int
}

// space passes over white space. Most often there is none, and the call is inlined for that.
func (s *scanner) space(i int) int {
	if i < len(s.b) && s.b[i] > ' ' {
		return i
	}
	return s.spaces(i)
}

func (s *scanner) spaces(i int) int {
	for i < len(s.b) {
		switch s.b[i] {
		case ' ', '\t', '\n', '\r':
			i++
		default:
			return i
		}
	}
	return i
}

// value reads one value that stands level levels deep, 0 for the text itself. There must be no
// space before it.
func (s *scanner) value(i, level int) int {
	if i < len(s.b) {
		switch s.b[i] {
		case '"':
			end, _ := s.str(i)
			return end
		case '{', '[':
			return s.container(i, level)
		}
	}
	return s.scalar(i)
}

// container reads an object or array.
func (s *scanner) container(i, level int) int {
	var in nesting
	for {
		// A value begins at i.
		if i >= len(s.b) {
			return -1
		}
		switch c := s.b[i]; c {
		case '{', '[':
			in.enter(c)
			s.deepest = max(s.deepest, level+in.depth)
			i = s.space(i + 1)
			if i < len(s.b) && s.b[i] == c+2 { // empty; '}' and ']' are two above their openings
				break
			}
			if c == '{' {
				if i = s.key(i); i < 0 {
					return -1
				}
			}
			continue
		case '"':
			if i, _ = s.str(i); i < 0 {
				return -1
			}
		default:
			if i = s.scalar(i); i < 0 {
				return -1
			}
		}
		// A value ended before i, or an empty container ends at it.
	after:
		i = s.space(i)
		if i >= len(s.b) {
			return -1
		}
		switch c := s.b[i]; {
		case c == ',':
			i = s.space(i + 1)
			if in.object() {
				if i = s.key(i); i < 0 {
					return -1
				}
			}
		case c == '}' && in.object(), c == ']' && !in.object():
			i++
			if in.leave(); in.depth == 0 {
				return i
			}
			goto after
		default:
			return -1
		}
	}
}

// nesting is which of the levels that are open are objects and which arrays: a bit for each, 1 for
// an object.
type nesting struct {
	depth int
	inner uint64   // of the innermost 64 levels, or fewer, the innermost lowest
	outer []uint64 // of those around them
}

// enter opens a level, whose first byte is c: '{' or '['.
func (n *nesting) enter(c byte) {
	if n.depth > 0 && n.depth%64 == 0 {
		n.outer = append(n.outer, n.inner)
	}
	n.depth++
	n.inner = n.inner<<1 | uint64(c>>5&1) // '{' is 0x7b, '[' is 0x5b
}

// object reports whether the innermost level is one.
func (n *nesting) object() bool { return n.inner&1 == 1 }

// leave closes the innermost level.
func (n *nesting) leave() {
	n.depth--
	n.inner >>= 1
	if last := len(n.outer) - 1; last >= 0 && n.depth%64 == 0 {
		n.inner, n.outer = n.outer[last], n.outer[:last]
	}
}

// key reads a member's name, the colon and the space after it.
func (s *scanner) key(i int) int {
	_, _, i = s.name(i)
	return i
}

// name is key with the name, quotes included, and whether it holds escapes.
func (s *scanner) name(i int) (name []byte, escaped bool, next int) {
	if i >= len(s.b) || s.b[i] != '"' {
		return nil, false, -1
	}
	end, escaped := s.str(i)
	if end < 0 {
		return nil, false, -1
	}
	next = s.space(end)
	if next >= len(s.b) || s.b[next] != ':' {
		return nil, false, -1
	}
	return s.b[i:end], escaped, s.space(next + 1)
}

// str reads a string, from its opening quote on, and tells whether it holds escapes.
func (s *scanner) str(i int) (end int, escaped bool) {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	b := s.b
	i++
	for {
		// Eight bytes at a time to the next that is a quote, a backslash, a control character or
		// above 0x7f. A borrow can mark a byte wrongly, but only above one that is marked rightly,
		// and the lowest is the one that counts.
		for i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			quote, slash := w^'"'*ones, w^'\\'*ones
			marks := (w | (w - ' '*ones) | (quote - ones) | (slash - ones)) & tops
			if marks != 0 {
				i += bits.TrailingZeros64(marks) >> 3
				break
			}
			i += 8
		}
		if i >= len(b) {
			return -1, false
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1, escaped
		case c == '\\':
			escaped = true
			if i = s.escape(i); i < 0 {
				return -1, false
			}
		case c < ' ':
			return -1, false
		default:
			if c >= 0x80 {
				s.wide = true
			}
			i++
		}
	}
}

// escape reads one escape sequence.
func (s *scanner) escape(i int) int {
	if i+1 >= len(s.b) {
		return -1
	}
	switch s.b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if i+6 > len(s.b) {
			return -1
		}
		for _, c := range s.b[i+2 : i+6] {
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return -1
			}
		}
		return i + 6
	}
	return -1
}

// scalar reads a number or a literal name.
func (s *scanner) scalar(i int) int {
	if i >= len(s.b) {
		return -1
	}
	switch s.b[i] {
	case 't':
		return s.literal(i, "true")
	case 'f':
		return s.literal(i, "false")
	case 'n':
		return s.literal(i, "null")
	}
	return s.number(i)
}

func (s *scanner) literal(i int, word string) int {
	if len(s.b)-i < len(word) || string(s.b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

func (s *scanner) number(i int) int {
	b := s.b
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = s.digits(i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = s.digits(i + 1); i < 0 {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return s.digits(i)
	}
	return i
}

// digits reads one or more digits.
func (s *scanner) digits(i int) int {
	from := i
	for i < len(s.b) && isDigit(s.b[i]) {
		i++
	}
	if i == from {
		return -1
	}
	return i
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
