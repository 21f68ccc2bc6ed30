//go:build unix

package wsconn

import (
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

// source reads a connection into a buffer that it holds only while there is something to read: 10,000 idle
// connections need no 10,000 buffers.
type source struct {
	nc    net.Conn
	raw   syscall.RawConn
	fn    func(fd uintptr) bool // made once: a closure a read would be an allocation a read
	buf   *[]byte
	n     int
	err   error
	plain []byte // in place of buf where raw is nil
	quiet silence
}

// openSocket makes the link read and write its socket itself, where it has one.
func (l *link) openSocket() {
	l.src.nc = l.Conn
	raw := rawConn(l.Conn)
	if raw == nil {
		return
	}
	l.src.raw, l.src.fn = raw, l.src.once
	l.queue.raw = raw
}

// once is called when the socket may be readable; false waits until it is.
func (s *source) once(fd uintptr) bool {
	s.buf = buffers.Get().(*[]byte)
	for {
		s.n, s.err = receive(fd, *s.buf)
		if s.err == nil {
			return true
		}
		if s.err != syscall.EINTR { //nolint:errorlint // a system call wraps nothing, and this is the hot path
			break
		}
	}
	if s.err == syscall.EAGAIN { //nolint:errorlint // as above
		s.release()
		s.quiet.begin()
		return false
	}
	return true
}

// read returns what came, valid until release.
func (s *source) read() ([]byte, error) {
	if s.raw == nil {
		if s.plain == nil {
			s.plain = make([]byte, plainSize)
		}
		s.quiet.begin()
		n, err := s.nc.Read(s.plain)
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

// release gives the buffer back.
func (s *source) release() {
	if s.buf != nil {
		buffers.Put(s.buf)
		s.buf = nil
	}
}

// tryWriter is one write that does not block. They are the writing goroutines' and not the connections': one that writes to a thousand
// connections has it at hand. RawConn's Control and not its Write: that one also gets ready to wait.
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
		if w.err == nil || w.err != syscall.EINTR { //nolint:errorlint // a system call wraps nothing, and this is the hot path
			return // also for EAGAIN: never wait
		}
	}
}

// tryWrite writes to a socket as much of p as it takes at once, and returns how much that was.
func tryWrite(raw syscall.RawConn, p []byte) (n int, err error) {
	w := tryWriters.Get().(*tryWriter)
	w.p, w.n, w.err = p, 0, nil
	err = raw.Control(w.fn)
	if err == nil && w.err != nil && w.err != syscall.EAGAIN { //nolint:errorlint // as above
		err = w.err
	}
	if err == nil {
		n = max(w.n, 0)
	}
	w.p, w.err = nil, nil
	tryWriters.Put(w)
	return n, err
}
