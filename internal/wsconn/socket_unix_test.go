//go:build unix

package wsconn_test

import (
	"crypto/tls"
	"net"
	"syscall"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// The send buffer hides what a peer does not read, under TLS as well.
func TestUpgrade_BoundsTheSendBuffer(t *testing.T) {
	for name, wrap := range map[string]func(*net.TCPConn) net.Conn{
		"TCP": func(c *net.TCPConn) net.Conn { return c },
		"TLS": func(c *net.TCPConn) net.Conn { return tls.Server(c, &tls.Config{}) },
	} {
		t.Run(name, func(t *testing.T) {
			server, client := tcpPair(t)
			defer func() { _ = client.Close() }()
			raw, err := server.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			c := upgradeConn(t, wrap(server), &wsconn.Options{SendBuffer: 10000})
			var size int
			if err2 := raw.Control(func(fd uintptr) {
				size, err = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF)
			}); err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			if size < 10000 || size > 20000 { // Linux tells twice what was asked for
				t.Errorf("SO_SNDBUF %d", size)
			}
			_ = c.CloseNow()
		})
	}
}
