//go:build unix

package filestore

import (
	"errors"
	"os"
	"syscall"
)

// openFlags keep an opening from waiting for the other end of a pipe, and from going where a link
// leads.
const openFlags = syscall.O_NONBLOCK | syscall.O_NOFOLLOW

// flock takes the lock of a file or a directory, which ends when it is closed.
func flock(f *os.File) error {
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EWOULDBLOCK):
		return ErrLocked
	default:
		return &os.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
}

func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		errors.Is(err, syscall.EFBIG)
}
