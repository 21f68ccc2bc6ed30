//go:build !linux

package proc

import (
	"errors"
	"os"
	"time"
)

const fdDir = "/dev/fd"

// Program starts this same program again.
type Program struct{}

// Open has nothing to open.
func Open() *Program { return &Program{} }

// replaceable is the path of the program's file, where another could have taken its place: the
// handshake finds out.
func replaceable() string {
	path, err := os.Executable()
	if err != nil {
		return ""
	}
	return path
}

// Path is what to execute, after failed, the error of the last attempt or nil.
func (*Program) Path(failed error) (string, error) {
	if failed != nil {
		return "", failed
	}
	return os.Executable()
}

// Close has nothing to close.
func (*Program) Close() {}

// Adopts is not known here.
func Adopts() bool { return false }

// ReapOrphans has nothing to do.
func ReapOrphans(int) bool { return false }

// ReapAll has nothing to do.
func ReapAll(int, time.Duration) {}

// armLifeline has nothing to arm: the end of the control pipe ends the worker.
func armLifeline(uintptr) {}

// Limit sets the Go memory limit; there is no hard one.
func Limit(extra int64) error {
	if extra > 0 {
		limitHeap(extra)
	}
	return nil
}

// ResidentBytes is not known here, so no worker is recycled for its size.
func ResidentBytes(int) (int64, error) { return 0, errors.ErrUnsupported }

// PipeSize is not known here.
func PipeSize(*os.File) int { return 0 }
