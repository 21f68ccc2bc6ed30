package proc

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Program starts this same program again.
type Program struct {
	self *os.File                // opened while it can be; nil where it cannot be read
	copy atomic.Pointer[os.File] // once the file may not be executed any more
}

// Open opens the program, which the caller closes.
func Open() *Program {
	self, err := os.Open(itself)
	if err != nil {
		self = nil // executable and not readable: then there will be no copy
	}
	return &Program{self: self}
}

// itself is the running program, even when its file was replaced, renamed or removed.
const itself = "/proc/self/exe"

// replaceable is the path of the program's file where another could have taken its place, "" where
// it cannot.
func replaceable() string { return "" }

// Path is what to execute, after failed, the error of the last attempt or nil. Whoever took the
// permission to execute from the file, or put it under noexec, has not stopped this process, which
// needs its workers: they then start from a copy in memory.
func (p *Program) Path(failed error) (string, error) {
	c := p.copy.Load()
	switch {
	case c == nil && failed == nil:
		return itself, nil
	case c == nil:
		if !errors.Is(failed, fs.ErrPermission) || p.self == nil {
			return "", failed
		}
		made, err := memoryCopy(p.self)
		if err != nil {
			return "", errors.Join(failed, err)
		}
		if c = made; !p.copy.CompareAndSwap(nil, made) { // another was quicker
			_ = made.Close()
			c = p.copy.Load()
		}
	}
	return "/proc/self/fd/" + strconv.Itoa(Number(c)), nil
}

func memoryCopy(of *os.File) (*os.File, error) {
	fd, err := unix.MemfdCreate("executor-program", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("executor-program", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), "executor-program")
	if _, err := io.Copy(f, io.NewSectionReader(of, 0, math.MaxInt64)); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Close closes what Open and Path have opened.
func (p *Program) Close() {
	for _, f := range [...]*os.File{p.self, p.copy.Load()} {
		if f != nil {
			_ = f.Close() // nothing is to be made durable
		}
	}
}
