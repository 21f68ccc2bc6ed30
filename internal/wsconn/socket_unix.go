//go:build unix

package wsconn

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// rawConn is the socket beneath conn, nil when there is none to be had (TLS, a pipe).
func rawConn(conn net.Conn) syscall.RawConn {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// source reads a connection into a buffer that it holds only while there is something to read:
// 10,000 idle connections need no 10,000 buffers.
type source struct {
	raw   syscall.RawConn
	fn    func(fd uintptr) bool // made once: a closure a read would be an allocation a read
	buf   *[]byte
	n     int
	err   error
	plain []byte // in place of buf where raw is nil
	quiet silence
}

// openSocket makes the connection read and write its socket itself, where it has one.
func (c *Conn) openSocket() {
	src := &c.in.src
	raw := rawConn(c.nc)
	if raw == nil {
		return
	}
	src.raw, src.fn = raw, src.once
	c.queue.raw = raw
}

// once is called when the socket may be readable; false waits until it is.
func (s *source) once(fd uintptr) bool {
	s.buf = buffers.Get().(*[]byte)
	for {
		s.n, s.err = receive(fd, *s.buf)
		switch {
		case errors.Is(s.err, syscall.EINTR):
			continue
		case errors.Is(s.err, syscall.EAGAIN):
			s.release()
			s.quiet.begin()
			return false
		}
		return true
	}
}

// read waits for bytes of nc and returns them; they are valid until release.
func (s *source) read(nc net.Conn) ([]byte, error) {
	if s.raw == nil {
		if s.plain == nil {
			s.plain = make([]byte, plainSize)
		}
		s.quiet.begin()
		n, err := nc.Read(s.plain)
		return s.plain[:n], err
	}
	s.n, s.err = 0, nil
	err := s.raw.Read(s.fn)
	if err == nil {
		err = s.err
	}
	if err == nil && s.n == 0 {
		err = io.EOF
	}
	if s.n <= 0 {
		s.release()
		return nil, err
	}
	return (*s.buf)[:s.n], nil
}

// poll is read that does not wait, whatever the deadline. It returns nil when nothing is there, or
// nobody can tell.
func (s *source) poll() []byte {
	if s.raw == nil {
		return nil
	}
	s.n = 0
	if err := s.raw.Control(func(fd uintptr) { s.fn(fd) }); err != nil || s.n <= 0 {
		s.release()
		return nil
	}
	return (*s.buf)[:s.n]
}

// release gives the buffer back.
func (s *source) release() {
	if s.buf != nil {
		buffers.Put(s.buf)
		s.buf = nil
	}
}

// tryWriter is one write that does not block. They are the writing goroutines' and not the
// connections': one that writes to a thousand connections has it at hand. RawConn's Control and not
// its Write: that one also gets ready to wait.
type tryWriter struct {
	fn  func(fd uintptr) // made once, as source's
	p   []byte
	n   int
	err error
}

var tryWriters = sync.Pool{New: func() any {
	w := &tryWriter{}
	w.fn = w.once
	return w
}}

func (w *tryWriter) once(fd uintptr) {
	for {
		w.n, w.err = send(fd, w.p)
		if !errors.Is(w.err, syscall.EINTR) {
			return // also for EAGAIN: never wait
		}
	}
}

// tryWrite writes to a socket as much of p as it takes at once, and returns how much that was.
func tryWrite(raw syscall.RawConn, p []byte) (n int, err error) {
	w := tryWriters.Get().(*tryWriter)
	w.p, w.n, w.err = p, 0, nil
	err = raw.Control(w.fn)
	if err == nil && !errors.Is(w.err, syscall.EAGAIN) {
		err = w.err
	}
	if err == nil {
		n = max(w.n, 0)
	}
	w.p, w.err = nil, nil
	tryWriters.Put(w)
	return n, err
}
