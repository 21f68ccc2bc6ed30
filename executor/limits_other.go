//go:build !linux

package executor

import (
	"errors"
	"os"
)

const fdDir = "/dev/fd"

// executable is the path of the program's file; should that be replaced, the handshake finds out.
func executable() (string, error) { return os.Executable() }

// armLifeline has nothing to arm: the end of the control pipe ends the worker.
func armLifeline(uintptr) {}

// applyLimits sets the Go memory limit; there is no hard one.
func applyLimits(h hello) error {
	if h.MemoryLimit > 0 {
		limitHeap(h.MemoryLimit)
	}
	return nil
}

// residentBytes is not known here, so no worker is recycled for its size.
func residentBytes(int) (int64, error) { return 0, errors.ErrUnsupported }
