package executor

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// readable waits until f can be read or has ended, for at most wait.
func readable(f *os.File, wait time.Duration) (ok bool) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	_ = conn.Control(func(fd uintptr) { // an error: closed, and not readable
		timeout := unix.NsecToTimespec(int64(wait))
		n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, &timeout, nil)
		ok = err == nil && n > 0
	})
	return ok
}
