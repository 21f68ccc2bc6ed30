//go:build !unix

package wsconn

import (
	"net"
	"syscall"
)

// source reads a connection into a buffer that it holds while it waits: there is no way here to
// wait without one.
type source struct {
	plain [plainSize]byte
	quiet silence
}

func (*Conn) openSocket() {}

func (s *source) read(nc net.Conn) ([]byte, error) {
	s.quiet.begin()
	n, err := nc.Read(s.plain[:])
	return s.plain[:n], err
}

func (*source) release() {}

// poll would be a read that does not wait.
func (*source) poll() []byte { return nil }

// tryWrite is for sockets that can be written without blocking, of which there are none here: a
// goroutine drains every burst.
func tryWrite(syscall.RawConn, []byte) (int, error) { return 0, nil }
