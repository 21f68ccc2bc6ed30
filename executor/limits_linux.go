package executor

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

const fdDir = "/proc/self/fd"

// executable is the running program itself, even when its file was replaced or removed.
func executable() (string, error) { return "/proc/self/exe", nil }

// armLifeline asks the kernel to kill this process group when the parent's end of a pipe closes. Nothing is ever written to it. Unlike a goroutine
// that reads, this reaches a worker that is stopped, or that spins where the scheduler cannot interrupt it. Where the kernel refuses, the
// end of the control pipe still ends the worker.
func armLifeline(fd uintptr) {
	_, errSignal := unix.FcntlInt(fd, unix.F_SETSIG, int(unix.SIGKILL))
	_, errOwner := unix.FcntlInt(fd, unix.F_SETOWN, -unix.Getpgrp())
	if errSignal == nil && errOwner == nil {
		_, _ = unix.FcntlInt(fd, unix.F_SETFL, unix.O_ASYNC)
	}
}

// applyLimits bounds this worker's memory. RLIMIT_DATA counts private writable memory, whereas RLIMIT_AS would count what Go merely reserves. It is set here, where
// the runtime has started, on top of what it has taken. The kernel, short of memory, is asked to end workers before their parent.
func applyLimits(h hello) error {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0) // a preference only
	if h.MemoryLimit <= 0 {
		return nil
	}
	pages, err := statm("self", 5)
	if err != nil {
		return fmt.Errorf("memory limit: %w", err)
	}
	limit := uint64(pages*int64(os.Getpagesize()) + h.MemoryLimit)
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("memory limit: %w", err)
	}
	limitHeap(h.MemoryLimit)
	return nil
}

// residentBytes is the resident memory of a process.
func residentBytes(pid int) (int64, error) {
	pages, err := statm(strconv.Itoa(pid), 1)
	return pages * int64(os.Getpagesize()), err
}

// statm is one field of /proc/<pid>/statm, in pages: 1 resident, 5 data and stack.
func statm(pid string, field int) (int64, error) {
	b, err := os.ReadFile("/proc/" + pid + "/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b)
	if len(fields) <= field {
		return 0, fmt.Errorf("/proc/%s/statm: %q", pid, b)
	}
	return strconv.ParseInt(string(fields[field]), 10, 64)
}
