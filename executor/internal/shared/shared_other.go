//go:build !linux

package shared

import (
	"os"
	"path/filepath"
)

// Side is what one of them, a worker or its parent, has of it: a directory by which files pass.
// What a worker has begun, and where its standard error stood then, is not known here.
type Side struct {
	dir string
	own bool // what is taken is removed when it is closed: the parent's side
}

func New(dir string) (*Side, []*os.File, error) { return &Side{dir, true}, nil, nil }

func Open([]uintptr) (*Side, error) { return &Side{}, nil }

// CreateFile makes a file to pass on.
func CreateFile(dir string) (*File, error) {
	f, err := os.CreateTemp(dir, "payload-")
	if err != nil {
		return nil, err
	}
	return &File{File: f, ID: filepath.Base(f.Name()), remove: f.Name()}, nil
}

// Pass has nothing to do: the name is enough.
func (*Side) Pass(*File) error { return nil }

// Take opens a file of the directory and of nowhere else.
func (s *Side) Take(name string) (*File, error) {
	if name != filepath.Base(name) || !filepath.IsLocal(name) {
		return nil, ErrFile
	}
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	taken := &File{File: f}
	if s.own {
		taken.remove = f.Name()
	}
	return taken, nil
}

func (*Side) Close()   {}
func (*Side) Release() {}

func (*Side) Queue(int) uint8     { return NoSlot }
func (*Side) Withdraw(uint8) bool { return false }
func (*Side) Queued(uint8) bool   { return false }
func (*Side) Free(uint8)          {}
func (*Side) Begin(uint8) bool    { return true }
func (*Side) Mark(uint8) uint64   { return 0 }

func (*Side) ReadErrors(f *os.File, buf []byte) (int, error) { return f.Read(buf) }

// SetDir sets the directory, which the worker learns late.
func (s *Side) SetDir(dir string) { s.dir = dir }

func (*Side) Retain() {}

// MakeDir makes a private directory for files, as there is no memfd. It outlives a parent that
// is killed.
func MakeDir() (string, error) { return os.MkdirTemp("", "executor-") }

// RemoveDir removes it with all it holds.
func RemoveDir(dir string) error { return os.RemoveAll(dir) }
