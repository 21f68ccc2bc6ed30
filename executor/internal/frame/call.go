package frame

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// MaxMeta is how many bytes AppendMeta may make.
const MaxMeta = 4 << 10

// CallHead is what stands before the body of a call: u8 flags, i64 timeout in ns (0 none), u8 slot,
// i8 log level, then name, input, output and file, each as u8 length and bytes, and if a flag says
// so meta, as u16 length and bytes.
type CallHead struct {
	Progress bool          // the caller wants progress
	Timeout  time.Duration // time to the deadline when the frame was sent, 0 without one
	Slot     uint8         // of the board, set when it is sent
	Level    int8          // least slog.Level of interest
	Name     string
	Input    string // name of the file to read, "" none
	Output   string // name of the file to write, "" none
	File     string // name of the file that holds the body, "" when it follows
	Meta     []byte // as AppendMeta made it; of a head that was parsed a part of what it was in
}

const (
	timeoutOffset = HeadSize + 1      // where a call's frame has its timeout
	slotOffset    = timeoutOffset + 8 // and its slot
	flagProgress  = 1
	flagMeta      = 2
)

// SetTimeout sets the timeout of a call's frame, which is known when it is sent.
func SetTimeout(frame []byte, d time.Duration) {
	binary.LittleEndian.PutUint64(frame[timeoutOffset:], uint64(d))
}

// SetSlot sets the slot of a call's frame, which is known when it is sent.
func SetSlot(frame []byte, slot uint8) { frame[slotOffset] = slot }

// Append appends the head to the beginning of a frame. Of a text it takes the first 255 bytes.
func (h *CallHead) Append(b []byte) []byte {
	var flags byte
	if h.Progress {
		flags |= flagProgress
	}
	if len(h.Meta) > 0 {
		flags |= flagMeta
	}
	b = append(b, flags)
	b = append(binary.LittleEndian.AppendUint64(b, uint64(h.Timeout)), h.Slot, byte(h.Level))
	for _, s := range [...]string{h.Name, h.Input, h.Output, h.File} {
		b = append(append(b, byte(min(len(s), math.MaxUint8))), s[:min(len(s), math.MaxUint8)]...)
	}
	if len(h.Meta) > 0 {
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(h.Meta))), h.Meta...)
	}
	return b
}

// ParseCallHead reads the payload of a call: the head, and the body behind it. The error is
// ErrMalformed.
func ParseCallHead(b []byte) (h CallHead, body []byte, err error) {
	if len(b) < 11 || b[0] > flagProgress|flagMeta {
		return h, nil, fmt.Errorf("%w: call", ErrMalformed)
	}
	h.Progress = b[0]&flagProgress != 0
	hasMeta := b[0]&flagMeta != 0
	h.Timeout = time.Duration(binary.LittleEndian.Uint64(b[1:]))
	h.Slot, h.Level = b[9], int8(b[10])
	b = b[11:]
	for _, s := range [...]*string{&h.Name, &h.Input, &h.Output, &h.File} {
		if len(b) == 0 || len(b)-1 < int(b[0]) {
			return h, nil, fmt.Errorf("%w: call", ErrMalformed)
		}
		end := 1 + int(b[0]) // which a byte would not hold
		*s, b = string(b[1:end]), b[end:]
	}
	if hasMeta {
		if h.Meta, b = cut(b); len(h.Meta) == 0 || len(h.Meta) > MaxMeta {
			return h, nil, fmt.Errorf("%w: call", ErrMalformed)
		}
	}
	return h, b, nil
}

// AppendMeta appends the pairs of a map, in any order, each key and value as u16 length and bytes.
// ok is false, and nothing appended, when they take more than MaxMeta bytes.
func AppendMeta(b []byte, meta map[string]string) (_ []byte, ok bool) {
	size := 0
	for key, value := range meta {
		if size += 4 + len(key) + len(value); size > MaxMeta {
			return b, false
		}
	}
	for key, value := range meta {
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(key))), key...)
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(value))), value...)
	}
	return b, true
}

// ParseMeta is the opposite of AppendMeta; no bytes are no map. The error is ErrMalformed.
func ParseMeta(b []byte) (meta map[string]string, err error) {
	for len(b) > 0 {
		var key, value []byte
		if key, b = cut(b); key != nil {
			value, b = cut(b)
		}
		if value == nil {
			return nil, fmt.Errorf("%w: meta", ErrMalformed)
		}
		if meta == nil {
			meta = make(map[string]string)
		}
		meta[string(key)] = string(value)
	}
	return meta, nil
}

// cut takes a text off that stands after its length, as u16; it is nil when there is none.
func cut(b []byte) (text, rest []byte) {
	if len(b) < 2 || len(b)-2 < int(binary.LittleEndian.Uint16(b)) {
		return nil, nil
	}
	end := 2 + int(binary.LittleEndian.Uint16(b))
	return b[2:end:end], b[end:]
}
