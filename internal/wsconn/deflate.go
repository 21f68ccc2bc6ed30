package wsconn

import (
	"compress/flate"
	"io"
	"sync"
)

// deflateThreshold is the payload size in bytes from which compression is worth its while.
const deflateThreshold = 512

var flateWriters = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(io.Discard, flate.BestSpeed) // its only error is a level that does not exist
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
	return out.b[:len(out.b)-4] // the empty block that every flush ends with, 00 00 ff ff, is implied
}

type sliceWriter struct{ b []byte }

func (s *sliceWriter) Write(p []byte) (int, error) {
	s.b = append(s.b, p...)
	return len(p), nil
}
