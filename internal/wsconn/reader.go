package wsconn

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// reader reads what the peer sends and serves its control frames. It belongs to the holder of the
// connection's read lock, but for what the keepalive looks at: heard and src.quiet.since.
type reader struct {
	conn   *Conn
	src    source
	parser parser
	avail  []byte             // read and not yet handed on
	used   bool               // the goroutine has used its stack since it last waited for long
	tooBig func(piece []byte) // gets what is too big; nil: it ends the connection
	heard  atomic.Bool        // bytes came; the keepalive resets it
}

// begin reads on until a message has begun. With renew it returns ErrRenew in place of waiting on a
// stack that has grown.
func (r *reader) begin(renew bool) error {
	for {
		if len(r.avail) == 0 {
			if renew && r.used && r.parser.unit() == 0 {
				r.used = false
				return ErrRenew
			}
			if err := r.fill(); err != nil {
				return err
			}
		}
		if err := r.frame(); err != nil {
			return err
		}
		if r.parser.opcode < opClose {
			return nil
		}
		if err := r.control(); err != nil {
			return err
		}
	}
}

// message appends the message that has begun to buf. ErrSkipped is no end of the connection.
func (r *reader) message(buf []byte) ([]byte, error) {
	from := len(buf)
	if r.parser.deflated {
		buf, err := r.inflate(buf)
		return r.whole(buf, from, err)
	}
	for {
		p, err := r.next()
		if r.parser.big {
			buf = r.skip(buf, from)
			r.tooBig(p)
		} else {
			buf = append(buf, p...)
		}
		if err != nil {
			return r.whole(buf, from, err)
		}
	}
}

// skip hands what has been read of a message that is too big on to tooBig.
func (r *reader) skip(buf []byte, from int) []byte {
	if len(buf) > from {
		r.tooBig(buf[from:])
	}
	return buf[:from]
}

// whole is the end of a message, which is buf[from:]; err is io.EOF where all of it has come.
func (r *reader) whole(buf []byte, from int, err error) ([]byte, error) {
	all := errors.Is(err, io.EOF)
	if !all || len(r.avail) == 0 {
		r.src.release()
	}
	switch {
	case !all:
		return buf[:from], err
	case r.parser.big:
		return buf[:from], ErrSkipped
	case r.parser.text && !utf8.Valid(buf[from:]):
		return buf[:from],
			&violation{websocket.StatusInvalidFramePayloadData, "text that is not UTF-8"}
	}
	return buf, nil
}

// discard reads on to the peer's close frame, or what else ends the connection.
func (r *reader) discard() error {
	for {
		for r.parser.payload > 0 {
			if _, err := r.piece(); err != nil {
				return err
			}
		}
		if err := r.frame(); err != nil {
			return err
		}
		if r.parser.opcode >= opClose {
			if err := r.control(); err != nil {
				return err
			}
		}
	}
}

// fill waits for bytes. It sends what was queued before it waits. Its frames, and those above it,
// are kept small: a connection that does nothing costs what they take.
func (r *reader) fill() error {
	r.src.release()
	r.conn.queue.flush()
	for {
		if err := r.conn.deadline.set(r.parser.unit()); err != nil {
			return r.readError(err)
		}
		b, err := r.src.read(r.conn.nc)
		r.src.quiet.end()
		if len(b) > 0 {
			r.used = r.used || r.src.quiet.lasted >= longSilence || r.parser.units == 0
			r.src.quiet.lasted = 0
			if !r.heard.Load() {
				r.heard.Store(true)
			}
			r.avail = b
			return nil
		}
		if err == nil {
			continue
		}
		if b = r.late(err); len(b) > 0 {
			r.avail = b
			return nil
		}
		if err = r.readError(err); err != nil {
			return err
		}
	}
}

// late is what came of a message in time although its time is over: the process may have stood
// still, and not the peer.
func (r *reader) late(err error) []byte {
	if r.parser.unit() == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return r.src.poll()
}

// readError tells what an error of the connection means; nil is to try again.
func (r *reader) readError(err error) error {
	switch {
	case errors.Is(err, errInterrupted):
		return err
	case !errors.Is(err, os.ErrDeadlineExceeded):
		if r.conn.queue.closed() { // by this side; a pipe has an error of its own for that
			return net.ErrClosed
		}
		return &brokenError{err}
	case r.parser.unit() != 0:
		return &violation{StatusTiming, "message took too long"}
	}
	return nil // interrupted, which the deadline tells
}

// brokenError is the end of a connection that broke.
type brokenError struct{ cause error }

func (e *brokenError) Error() string {
	if errors.Is(e.cause, io.EOF) {
		return "websocket: the connection ended without a close frame"
	}
	return "websocket: the connection broke: " + e.cause.Error()
}

// frame waits for the next frame and makes it the current one.
func (r *reader) frame() error {
	for {
		n, whole := r.parser.gather(r.avail)
		r.avail = r.avail[n:]
		if whole {
			if v := r.parser.begin(); v != nil {
				return v
			}
			return nil
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
}

// piece waits for more of the current frame's payload, of which there is some. It is valid until
// the next byte is read.
func (r *reader) piece() ([]byte, error) {
	if len(r.avail) == 0 {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	n := int(min(int64(len(r.avail)), r.parser.payload))
	p := r.avail[:n:n]
	r.avail = r.avail[n:]
	r.parser.unmask(p)
	return p, nil
}

// next waits for more of the message under way and answers control frames inside it. The error is
// io.EOF at the message's end.
func (r *reader) next() ([]byte, error) {
	for {
		switch {
		case r.parser.payload > 0:
			return r.piece()
		case !r.parser.open:
			return nil, io.EOF
		}
		if err := r.frame(); err != nil {
			return nil, err
		}
		if r.parser.opcode >= opClose {
			if err := r.control(); err != nil {
				return nil, err
			}
		}
	}
}

// control serves the control frame under way. The error is the peer's websocket.CloseError when it
// is a close frame.
func (r *reader) control() error {
	opcode := r.parser.opcode
	var p []byte
	for r.parser.payload > 0 {
		piece, err := r.piece()
		switch {
		case err != nil:
			return err
		case p == nil && r.parser.payload == 0:
			p = piece // as a rule it has come whole
		default:
			p = append(p, piece...)
		}
	}
	switch opcode {
	case opPing:
		// Where even the room for control frames is full, the peer has pongs to come before it
		// could see this one, and the latest ping is what needs an answer (RFC 6455 section 5.5.3).
		_ = r.conn.queue.sendControl(appendFrame(nil, opPong, p, false, r.conn.client))
	case opPong:
		r.conn.pings.pong(p)
	case opClose:
		return r.answerClose(p)
	}
	return nil // a queue that has failed has closed the connection, which the next read tells
}

// answerClose answers the peer's close frame, and returns what it says.
func (r *reader) answerClose(payload []byte) error {
	peer, v := parseClose(payload)
	if v != nil {
		return v
	}
	// unless one is on its way
	_ = r.conn.queue.sendControl(appendFrame(nil, opClose, payload, false, r.conn.client))
	return peer
}
