package proc

import (
	"os"

	"golang.org/x/sys/unix"
)

const fdDir = "/proc/self/fd"

// armLifeline asks the kernel to kill this process group when the parent's end of a pipe closes.
// Nothing is ever written to it. Unlike a goroutine that reads, this reaches a worker that is
// stopped, or that spins where the scheduler cannot interrupt it. Where the kernel refuses, the end
// of the control pipe still ends the worker.
func armLifeline(fd uintptr) {
	_, errSignal := unix.FcntlInt(fd, unix.F_SETSIG, int(unix.SIGKILL))
	_, errOwner := unix.FcntlInt(fd, unix.F_SETOWN, -unix.Getpgrp())
	if errSignal == nil && errOwner == nil {
		_, _ = unix.FcntlInt(fd, unix.F_SETFL, unix.O_ASYNC)
	}
}

// PipeSize is how many bytes a pipe holds.
func PipeSize(f *os.File) int {
	n, err := unix.FcntlInt(uintptr(Number(f)), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		return 0
	}
	return n
}
