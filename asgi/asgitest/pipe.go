package asgitest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
)

// pipeListener accepts the connections that dial makes.
type pipeListener struct {
	conns     chan net.Conn
	accepting chan struct{} // closed at the first Accept: the app has started
	closed    chan struct{}
	accept    sync.Once
	close     sync.Once
	ports     atomic.Int32
}

func newPipeListener() *pipeListener {
	return &pipeListener{
		conns: make(chan net.Conn), accepting: make(chan struct{}),
		closed: make(chan struct{}),
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	l.accept.Do(func() { close(l.accepting) })
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return serverAddr }

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	addr := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1024 + int(l.ports.Add(1))%60000}
	select {
	case l.conns <- pipeConn{server, serverAddr, addr}:
		return pipeConn{client, addr, serverAddr}, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// serverAddr and the clients' addresses are of TEST-NET-1 (RFC 5737 section 3), as in
// net/http/httptest.
var serverAddr = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: 80}

// pipeConn is a net.Pipe end whose addresses look like those of TCP, as handlers parse them.
type pipeConn struct {
	net.Conn
	local, remote net.Addr
}

func (c pipeConn) LocalAddr() net.Addr  { return c.local }
func (c pipeConn) RemoteAddr() net.Addr { return c.remote }
