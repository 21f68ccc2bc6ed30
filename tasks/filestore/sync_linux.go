package filestore

import (
	"os"
	"syscall"
)

// syncData waits until what was written is on the disk; the size of a segment never changes, so its
// data is all.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if err != syscall.EINTR {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}
