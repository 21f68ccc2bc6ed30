//go:build !unix

package wsconn

import (
	"net"
	"syscall"
)

// source reads a connection into a buffer that it holds while it waits: there is no way here to wait without one.
type source struct {
	nc    net.Conn
	plain [plainSize]byte
	quiet silence
}

func (l *link) openSocket() { l.src.nc = l.Conn }

func (s *source) read() ([]byte, error) {
	s.quiet.begin()
	n, err := s.nc.Read(s.plain[:])
	return s.plain[:n], err
}

func (*source) release() {}

// tryWrite is for sockets that can be written without blocking, of which there are none here: a goroutine drains every burst.
func tryWrite(syscall.RawConn, []byte) (int, error) { return 0, nil }
