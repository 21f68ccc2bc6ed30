package shared

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrFile is a file of the other process that is not what it must be.
var ErrFile = errors.New("executor: not an exchanged file")

// File is a file that a worker and its parent exchange: one creates it and passes it on, the other
// takes it by its name.
type File struct {
	*os.File
	ID     string // by which the other process takes it
	remove string // path to remove with it, "" where it has none
}

// Close closes it, and removes it where it has a place in the file system.
func (f *File) Close() {
	_ = f.File.Close() // it held a copy, and nothing is to be made durable
	if f.remove != "" {
		_ = os.Remove(f.remove) // what is left goes with the directory
	}
}

// Size checks that f is a regular file of at most limit bytes.
func (f *File) Size(limit int64) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, ErrFile
	}
	if info.Size() > limit {
		return 0, fmt.Errorf("executor: %d bytes exceed %d", info.Size(), limit)
	}
	return info.Size(), nil
}

// ReadAll is the whole content.
func (f *File) ReadAll(limit int64) ([]byte, error) {
	n, err := f.Size(limit)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(io.NewSectionReader(f, 0, n), b)
	return b, err
}

// Keep leaves it in the file system when it is closed, for the other process, which removes it.
func (f *File) Keep() { f.remove = "" }
