package executor

import (
	"time"

	"golang.org/x/sys/unix"
)

// readable waits until fd can be read or has ended, for at most wait.
func readable(fd int, wait time.Duration) bool {
	timeout := unix.NsecToTimespec(int64(wait))
	n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, &timeout, nil)
	return err == nil && n > 0
}
