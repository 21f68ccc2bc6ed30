//go:build !unix

package wsconn

import "net"

// source reads a connection into a buffer that it holds while it waits: there is no way here to wait without one.
type source struct {
	nc    net.Conn
	plain [plainSize]byte
}

func newSource(nc net.Conn) *source { return &source{nc: nc} }

func (s *source) read() ([]byte, error) {
	n, err := s.nc.Read(s.plain[:])
	return s.plain[:n], err
}

func (*source) release() {}

// tryWriter does not exist where a socket cannot be written without blocking; a goroutine drains every burst.
type tryWriter struct{}

func newTryWriter(net.Conn) *tryWriter { return nil }

func (*tryWriter) write([]byte) (int, error) { return 0, nil }
