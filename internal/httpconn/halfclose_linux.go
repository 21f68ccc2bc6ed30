package httpconn

import "syscall"

// tcpClose is TCP_CLOSE of tcp_states.h: after a reset.
const tcpClose = 7

func socketIsReset(conn any) (reset bool) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true // closed on this side
	}
	err = raw.Control(func(fd uintptr) {
		info, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO)
		// tcpi_state, a byte, is first; on a big-endian machine this is only less prompt
		reset = err == nil && info&0xff == tcpClose
	})
	return reset || err != nil
}
