package executor

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// A frame is u32 length | u8 type | u64 id | payload, little endian; length counts what follows it. One pipe carries frames to a worker,
// one from it, and a third to it those that must not queue behind a running call.
const (
	frameHead = 4 + 1 + 8
	frameMax  = inlineMax + 4<<10 // the longest length accepted: a value and the head of a call
)

type frameType uint8

const (
	frameHello    frameType = iota + 1 // to the worker: hello as JSON; from it: welcome as JSON
	frameCall                          // to the worker: callHead and body
	frameResult                        // from the worker: u8 1 if by file, then the body or the file's name
	frameFailure                       // from the worker: failure as JSON
	framePanic                         // from the worker: PanicError as JSON
	frameProgress                      // from the worker: a JSON value
	frameLog                           // from the worker: logRecord as JSON
	frameCancel                        // to the worker, control pipe: the call's context ended
	frameRelease                       // to the worker, control pipe: the result's file has been opened
	frameTypes                         // the first number that is no type
)

var errFrame = errors.New("executor: malformed frame")

// beginFrame appends a head whose length endFrame fills in.
func beginFrame(b []byte, t frameType, id uint64) []byte {
	b = append(b, 0, 0, 0, 0, byte(t))
	return binary.LittleEndian.AppendUint64(b, id)
}

// endFrame sets the length of the frame that is all of b.
func endFrame(b []byte) { binary.LittleEndian.PutUint32(b, uint32(len(b)-4)) }

func setFrameID(b []byte, id uint64) { binary.LittleEndian.PutUint64(b[5:], id) }

func newFrame(t frameType, id uint64, payload []byte) []byte {
	b := append(beginFrame(make([]byte, 0, frameHead+len(payload)), t, id), payload...)
	endFrame(b)
	return b
}

// readFrame reads one frame; its payload is in buf, grown where it must be, and returned. The length is checked before anything is allocated.
// The error is io.EOF only between frames.
func readFrame(r *bufio.Reader, buf []byte) (t frameType, id uint64, payload []byte, err error) {
	head, err := r.Peek(frameHead)
	if err != nil {
		if len(head) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, 0, nil, err
	}
	length := int64(binary.LittleEndian.Uint32(head))
	t = frameType(head[4])
	id = binary.LittleEndian.Uint64(head[5:])
	if length < frameHead-4 || length > frameMax {
		return 0, 0, nil, fmt.Errorf("%w: length %d", errFrame, length)
	}
	if t == 0 || t >= frameTypes {
		return 0, 0, nil, fmt.Errorf("%w: type %d", errFrame, t)
	}
	_, _ = r.Discard(frameHead) // just peeked
	n := int(length) - (frameHead - 4)
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	payload = buf[:n]
	if _, err = io.ReadFull(r, payload); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return t, id, payload, err
}

// callHead is what stands before the body of a call: u8 flags, i64 timeout in ns (0 none), i8 log level, then name, input, output and file, each as u8 length and bytes.
type callHead struct {
	progress bool          // the caller wants progress
	timeout  time.Duration // time to the deadline when the frame was sent, 0 without one
	level    int8          // least slog.Level of interest
	name     string
	input    string // name of the file to read, "" none
	output   string // name of the file to write, "" none
	file     string // name of the file that holds the body, "" when it follows
}

const (
	timeoutOffset = frameHead + 1 // where a call's frame has its timeout, set when it is sent
	flagProgress  = 1
)

func (h *callHead) append(b []byte) []byte {
	var flags byte
	if h.progress {
		flags |= flagProgress
	}
	b = append(b, flags)
	b = append(binary.LittleEndian.AppendUint64(b, uint64(h.timeout)), byte(h.level))
	for _, s := range [...]string{h.name, h.input, h.output, h.file} {
		b = append(append(b, byte(min(len(s), math.MaxUint8))), s[:min(len(s), math.MaxUint8)]...)
	}
	return b
}

func parseCallHead(b []byte) (h callHead, body []byte, err error) {
	if len(b) < 10 || b[0] > flagProgress {
		return h, nil, fmt.Errorf("%w: call", errFrame)
	}
	h.progress = b[0]&flagProgress != 0
	h.timeout = time.Duration(binary.LittleEndian.Uint64(b[1:]))
	h.level = int8(b[9])
	b = b[10:]
	for _, s := range [...]*string{&h.name, &h.input, &h.output, &h.file} {
		if len(b) == 0 || len(b)-1 < int(b[0]) {
			return h, nil, fmt.Errorf("%w: call", errFrame)
		}
		end := 1 + int(b[0]) // which a byte would not hold
		*s, b = string(b[1:end]), b[end:]
	}
	return h, b, nil
}
