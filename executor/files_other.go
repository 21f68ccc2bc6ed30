//go:build !linux

package executor

import (
	"os"
	"path/filepath"
)

// newFiles makes a private directory, as there is no memfd. It outlives a parent that is killed.
func newFiles() (*files, error) {
	dir, err := os.MkdirTemp("", "executor-")
	return &files{dir: dir}, err
}

func (s *files) create() (*file, error) {
	f, err := os.CreateTemp(s.dir, "payload-")
	if err != nil {
		return nil, err
	}
	return &file{File: f, name: filepath.Base(f.Name()), remove: f.Name()}, nil
}

// open opens a file of the directory and of nowhere else.
func (s *files) open(_ int, name string) (*file, error) {
	if name != filepath.Base(name) || !filepath.IsLocal(name) {
		return nil, errFile
	}
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &file{File: f}, nil
}
