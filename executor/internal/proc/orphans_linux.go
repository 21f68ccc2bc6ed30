package proc

import (
	"errors"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Adopts reports whether orphans become children of this process: whether it is process 1, as in a
// container, or a subreaper.
func Adopts() bool {
	var subreaper int32
	err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&subreaper)), 0, 0, 0)
	return os.Getpid() == 1 || err == nil && subreaper != 0
}

// ReapOrphans awaits those dead children of this process that belong to a worker's group and are
// not the worker: what functions started and left behind. It reports whether there are children
// left in the group. The group's number stays taken while there are.
func ReapOrphans(worker int) (more bool) {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PGID, worker, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return false
		}
		pid := deadOf(&info)
		if pid == 0 || pid == worker {
			return true
		}
		_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil) // an error: somebody else was quicker
	}
}

// deadOf is si_pid, which follows three integers and the padding of what comes next.
func deadOf(info *unix.Siginfo) int {
	const offset = (12 + unsafe.Sizeof(uintptr(0)) - 1) / unsafe.Sizeof(uintptr(0)) *
		unsafe.Sizeof(uintptr(0))
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}

// ReapAll awaits what is left of a dead worker's group, all of it killed, for at most patience.
func ReapAll(group int, patience time.Duration) {
	begun := time.Now()
	for wait := time.Millisecond; ReapOrphans(group) &&
		time.Since(begun) < patience; wait = min(2*wait, 100*time.Millisecond) {
		<-time.After(wait)
	}
}
