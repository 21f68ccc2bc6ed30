package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Limit bounds the memory of this process, a worker, to what it has and so many bytes more, 0 for
// no bound. RLIMIT_DATA counts private writable memory, whereas RLIMIT_AS would count what Go
// merely reserves. It is set here, where the runtime has started, on top of what it has taken. The
// kernel, short of memory, is asked to end workers before their parent.
func Limit(extra int64) error {
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("500"), 0) // a preference only
	if extra <= 0 {
		return nil
	}
	pages, err := statm("self", 5)
	if err != nil {
		return fmt.Errorf("memory limit: %w", err)
	}
	limit := uint64(pages*int64(os.Getpagesize()) + extra)
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("memory limit: %w", err)
	}
	limitHeap(extra)
	return nil
}

// ResidentBytes is the resident memory of a process, in bytes.
func ResidentBytes(pid int) (int64, error) {
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
