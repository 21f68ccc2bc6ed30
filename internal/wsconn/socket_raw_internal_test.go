//go:build linux && (amd64 || arm64) && !race

package wsconn

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// BenchmarkSocket sends 64 bytes over the loopback interface and receives them: raw is what
// connections do, plain what they would do by package syscall, which tells the scheduler of each
// call. Processor time is what to compare: on a machine that others keep busy too, whoever tells
// the scheduler gets more of the processors.
func BenchmarkSocket(b *testing.B) {
	type call func(fd uintptr, p []byte) (int, error)
	for _, way := range []struct {
		name          string
		send, receive call
	}{
		{"raw", send, receive},
		{
			"plain",
			func(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) },
			func(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) },
		},
	} {
		b.Run(way.name, func(b *testing.B) {
			before := processorTime(b)
			b.RunParallel(func(pb *testing.PB) {
				near, far := socketPair(b)
				out, in := make([]byte, 64), make([]byte, 64)
				for pb.Next() {
					if n, err := way.send(near, out); n != len(out) {
						b.Error(n, err)
						return
					}
					for got := 0; got < len(in); {
						n, err := way.receive(far, in)
						if err != nil && !errors.Is(err, syscall.EAGAIN) {
							b.Error(err)
							return
						}
						got += max(n, 0)
					}
				}
			})
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// processorTime is what this process has used of processors so far, in nanoseconds.
func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// socketPair is the descriptors of the two ends of a connection over the loopback interface.
func socketPair(b *testing.B) (near, far uintptr) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	var fds [2]uintptr
	for i, open := range []func() (net.Conn, error){
		func() (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }, l.Accept,
	} {
		c, err := open()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = c.Close() })
		if err := rawConn(c).Control(func(fd uintptr) { fds[i] = fd }); err != nil {
			b.Fatal(err)
		}
	}
	return fds[0], fds[1]
}
