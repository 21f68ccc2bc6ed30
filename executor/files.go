package executor

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// errFile is a file of the other process that is not what it must be.
var errFile = errors.New("executor: not an exchanged file")

// files exchanges bulk data between a worker and its parent: one creates a file and sends its name, the other opens it.
type files struct {
	dir string // private directory for them, "" with memfd
}

// file is one such file. Its maker's close ends its life.
type file struct {
	*os.File
	name   string // as sent
	remove string // path to remove with it, "" with memfd and for who only opened it
}

func (f *file) close() {
	_ = f.Close() // it held a copy, and nothing is to be made durable
	if f.remove != "" {
		_ = os.Remove(f.remove) // files.removeAll comes after
	}
}

// size checks that f is a regular file of at most limit bytes.
func (f *file) size(limit int64) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errFile
	}
	if info.Size() > limit {
		return 0, fmt.Errorf("executor: %d bytes exceed %d", info.Size(), limit)
	}
	return info.Size(), nil
}

// readAll reads a file the other process created.
func (s *files) readAll(pid int, name string, limit int64) ([]byte, error) {
	f, err := s.open(pid, name)
	if err != nil {
		return nil, err
	}
	defer f.close()
	n, err := f.size(limit)
	if err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err = io.ReadFull(io.NewSectionReader(f, 0, n), b)
	return b, err
}

// removeAll ends the directory.
func (s *files) removeAll() error {
	if s.dir == "" {
		return nil
	}
	return os.RemoveAll(s.dir)
}
