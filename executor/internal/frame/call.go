package frame

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// CallHead is what stands before the body of a call: u8 flags, i64 timeout in ns (0 none), u8 slot,
// i8 log level, then name, input, output and file, each as u8 length and bytes.
type CallHead struct {
	Progress bool          // the caller wants progress
	Timeout  time.Duration // time to the deadline when the frame was sent, 0 without one
	Slot     uint8         // of the board, set when it is sent
	Level    int8          // least slog.Level of interest
	Name     string
	Input    string // name of the file to read, "" none
	Output   string // name of the file to write, "" none
	File     string // name of the file that holds the body, "" when it follows
}

const (
	timeoutOffset = HeadSize + 1      // where a call's frame has its timeout
	slotOffset    = timeoutOffset + 8 // and its slot
	flagProgress  = 1
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
	b = append(b, flags)
	b = append(binary.LittleEndian.AppendUint64(b, uint64(h.Timeout)), h.Slot, byte(h.Level))
	for _, s := range [...]string{h.Name, h.Input, h.Output, h.File} {
		b = append(append(b, byte(min(len(s), math.MaxUint8))), s[:min(len(s), math.MaxUint8)]...)
	}
	return b
}

// ParseCallHead reads the payload of a call: the head, and the body behind it. The error is
// ErrMalformed.
func ParseCallHead(b []byte) (h CallHead, body []byte, err error) {
	if len(b) < 11 || b[0] > flagProgress {
		return h, nil, fmt.Errorf("%w: call", ErrMalformed)
	}
	h.Progress = b[0]&flagProgress != 0
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
	return h, b, nil
}
