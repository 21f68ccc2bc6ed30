package frame

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// HeadSize is how many bytes stand before the payload: length, type and id.
	HeadSize = 4 + 1 + 8
	// MaxValue is how many bytes a value in a frame may have; a larger one goes by file.
	MaxValue = 1 << 20
	// maxLength is the longest length accepted: a value and the head of a call.
	maxLength = MaxValue + 4<<10 + MaxMeta
)

// Type says what a frame is.
type Type uint8

// The types of frame, and who sends them.
const (
	Hello Type = iota + 1 // to the worker: hello as JSON; from it: welcome as JSON
	Call                  // to the worker: CallHead and body
	// from the worker: u8 1 if by file, then the body or the file's name
	Result
	Failure  // from the worker: failure as JSON
	Panic    // from the worker: PanicError as JSON
	Progress // from the worker: a JSON value
	Log      // from the worker: logRecord as JSON
	Cancel   // to the worker, control pipe: the call's context ended
	Types    // the first number that is no type
)

// ErrMalformed is a frame that the other process should not have sent.
var ErrMalformed = errors.New("executor: malformed frame")

// Begin appends a head whose length End fills in.
func Begin(b []byte, t Type, id uint64) []byte {
	b = append(b, 0, 0, 0, 0, byte(t))
	return binary.LittleEndian.AppendUint64(b, id)
}

// End sets the length of the frame that is all of b.
func End(b []byte) { binary.LittleEndian.PutUint32(b, uint32(len(b)-4)) }

// SetID sets the id of a frame.
func SetID(b []byte, id uint64) { binary.LittleEndian.PutUint64(b[5:], id) }

// New makes a whole frame.
func New(t Type, id uint64, payload []byte) []byte {
	b := append(Begin(make([]byte, 0, HeadSize+len(payload)), t, id), payload...)
	End(b)
	return b
}

// Read reads one frame; its payload is in buf, grown where it must be, and returned. The
// length is checked before anything is allocated. The error is io.EOF only between frames.
func Read(r *bufio.Reader, buf []byte) (t Type, id uint64, payload []byte, err error) {
	head, err := r.Peek(HeadSize)
	if err != nil {
		if len(head) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, 0, nil, err
	}
	length := int64(binary.LittleEndian.Uint32(head))
	t = Type(head[4])
	id = binary.LittleEndian.Uint64(head[5:])
	if length < HeadSize-4 || length > maxLength {
		return 0, 0, nil, fmt.Errorf("%w: length %d", ErrMalformed, length)
	}
	if t == 0 || t >= Types {
		return 0, 0, nil, fmt.Errorf("%w: type %d", ErrMalformed, t)
	}
	_, _ = r.Discard(HeadSize) // just peeked
	n := int(length) - (HeadSize - 4)
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	payload = buf[:n]
	if _, err = io.ReadFull(r, payload); errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return t, id, payload, err
}
