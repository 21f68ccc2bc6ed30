package wsconn

import (
	"compress/flate"
	"errors"
	"io"
	"slices"
	"sync"
)

// deflateThreshold is the payload size in bytes from which compression is worth its while.
const deflateThreshold = 512

var flateWriters = sync.Pool{New: func() any {
	// its only error is a level that does not exist
	w, _ := flate.NewWriter(io.Discard, flate.BestSpeed)
	return w
}}

// appendDeflated appends payload compressed without context takeover (RFC 7692 section 7.2.1).
func appendDeflated(dst, payload []byte) []byte {
	w := flateWriters.Get().(*flate.Writer)
	defer flateWriters.Put(w)
	out := sliceWriter{dst}
	w.Reset(&out)
	_, _ = w.Write(payload) // a sliceWriter has no errors
	_ = w.Flush()
	w.Reset(io.Discard)
	// the empty block that every flush ends with, 00 00 ff ff, is implied
	return out.b[:len(out.b)-4]
}

type sliceWriter struct{ b []byte }

func (s *sliceWriter) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}

// inflater reads what a message's compressed payload says. It is its decompressor's source too.
type inflater struct {
	out  io.ReadCloser // of package flate
	r    *reader
	in   []byte
	tail bool  // the payload has been read; in is what was left out of it
	err  error // why the payload could not be read
}

var inflaters = sync.Pool{New: func() any {
	i := &inflater{}
	i.out = flate.NewReader(i)
	return i
}}

// messageTail is what a sender leaves out (RFC 7692 section 7.2.2), and a final block, so that the
// data has an end.
var messageTail = []byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}

// smallMessage is how far at least an inflated message's buffer grows at a time.
const smallMessage = 512

// inflate appends the rest of a compressed message, decompressed, to buf. The error is io.EOF at
// its end.
func (r *reader) inflate(buf []byte) ([]byte, error) {
	i := inflaters.Get().(*inflater)
	defer inflaters.Put(i)
	*i = inflater{out: i.out, r: r}
	defer func() { i.r, i.in = nil, nil }()
	_ = i.out.(flate.Resetter).Reset(i, nil) // it has no error
	from := len(buf)
	for {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, smallMessage)
		}
		n, err := i.out.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if r.parser.big || int64(len(buf)-from) > r.parser.maxBytes {
			if r.tooBig == nil {
				return buf, errTooBig
			}
			r.parser.big = true
			buf = r.skip(buf, from)
		}
		switch {
		case err == nil:
		case i.err != nil:
			return buf, i.err
		case !errors.Is(err, io.EOF):
			return buf, protocolError("bad compressed data")
		default:
			return buf, i.end()
		}
	}
}

// end is the end of the compressed data. Where that was a final block of the sender's own, the
// message's last frame has come with it, and at most a byte is left in that (RFC 7692 section
// 7.2.3.4). The error is io.EOF when all is well.
func (i *inflater) end() error {
	p := &i.r.parser
	switch left := int64(len(i.in)) + p.payload; {
	case i.tail:
		return io.EOF
	case p.open && !p.last || left > 1:
		return protocolError("compressed data ends before its message")
	case p.payload > 0:
		if _, err := i.r.piece(); err != nil {
			return err
		}
	}
	return io.EOF
}

// more sees to it that there is something in i.in.
func (i *inflater) more() error {
	for len(i.in) == 0 {
		if i.tail {
			return io.ErrUnexpectedEOF
		}
		switch p, err := i.r.next(); {
		case err == nil:
			i.in = p
		case errors.Is(err, io.EOF):
			i.in, i.tail = messageTail, true
		default:
			i.err = err
			return err
		}
	}
	return nil
}

func (i *inflater) Read(p []byte) (int, error) {
	if err := i.more(); err != nil {
		return 0, err
	}
	n := copy(p, i.in)
	i.in = i.in[n:]
	return n, nil
}

// ReadByte keeps package flate from reading ahead through a buffer of its own.
func (i *inflater) ReadByte() (byte, error) {
	if err := i.more(); err != nil {
		return 0, err
	}
	b := i.in[0]
	i.in = i.in[1:]
	return b, nil
}
