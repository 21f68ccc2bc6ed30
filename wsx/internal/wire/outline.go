package wire

// Outline makes a short message of a long one that comes in pieces: one with the same members, in
// which a value is null where it takes more than a few KiB. It is for the reader of a message that
// is too long to be held, to tell whose it was. The zero value is ready to use.
type Outline struct {
	out []byte
	// by level: where the value under way begins in out, plus one; 0 while there is none. The
	// message is at level 1
	starts   [4]int
	depth    int // objects and arrays that are open
	skipping int // the level of the value that is left out, 0 for none
	inString bool
	escaped  bool
	inScalar bool // in a number or a literal
}

// maxValue is how many bytes a value takes before it is left out, by level. A message with so many
// members is null as a whole.
var maxValue = [4]int{1: 64 << 10, 2: 8 << 10, 3: 1 << 10}

// Write takes the next piece of the message in.
func (o *Outline) Write(p []byte) {
	for _, c := range p {
		o.write(c)
	}
}

// Bytes is the outline of what was written. It is JSON where that was, as a rule.
func (o *Outline) Bytes() []byte { return o.out }

func (o *Outline) write(c byte) {
	if o.inString {
		o.keep(c)
		switch {
		case o.escaped:
			o.escaped = false
		case c == '\\':
			o.escaped = true
		case c == '"':
			o.inString = false
			o.endValue()
		}
		return
	}
	switch c {
	case ',', ':', ' ', '\t', '\n', '\r', '}', ']':
		if o.inScalar {
			o.inScalar = false
			o.endValue()
		}
		o.keep(c)
		if c == '}' || c == ']' {
			o.depth--
			o.endValue()
		}
	case '{', '[':
		o.beginValue()
		o.keep(c)
		o.depth++
	case '"': // of a member's name too, which is a value like others here
		o.beginValue()
		o.keep(c)
		o.inString = true
	default:
		if !o.inScalar {
			o.inScalar = true
			o.beginValue()
		}
		o.keep(c)
	}
}

// beginValue is at the first byte of a value.
func (o *Outline) beginValue() {
	if level := o.depth + 1; o.skipping == 0 && level > 0 && level < len(o.starts) {
		o.starts[level] = len(o.out) + 1
	}
}

// endValue is behind the last byte of a value.
func (o *Outline) endValue() {
	level := o.depth + 1
	if level <= 0 || level >= len(o.starts) {
		return
	}
	o.starts[level] = 0
	if o.skipping == level {
		o.skipping = 0
	}
}

// keep appends a byte unless it is of a value that is left out, and leaves out the innermost value
// that takes too much.
func (o *Outline) keep(c byte) {
	if o.skipping > 0 {
		return
	}
	o.out = append(o.out, c)
	for level := len(o.starts) - 1; level > 0; level-- {
		if start := o.starts[level]; start > 0 && len(o.out)-start >= maxValue[level] {
			o.out = append(o.out[:start-1], "null"...)
			o.skipping = level
			return
		}
	}
}
