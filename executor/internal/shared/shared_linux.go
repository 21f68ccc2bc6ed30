package shared

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// Side is what one of them, a worker or its parent, has of it: a socket by which files pass, and a
// page of memory where they see each other's state.
//
// Files are memfds, which leave nothing behind, however the processes end. They pass as descriptors
// (SCM_RIGHTS): the other way, by /proc/<pid>/fd, is closed for a program that has file
// capabilities.
type Side struct {
	*board
	socket *os.File

	mu    lockorder.Mutex  // held while the socket is read, which never waits
	taken map[string]*File // what came and was not taken yet; guarded by mu
}

// New makes the parent's side, and the files that the worker inherits. The directory is for systems
// without memfds.
func New(string) (*Side, []*os.File, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX,
		unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	s := &Side{socket: os.NewFile(uintptr(pair[0]), "files"), taken: make(map[string]*File)}
	theirs := []*os.File{os.NewFile(uintptr(pair[1]), "files")}
	page, err := memfd("executor-board")
	if err == nil {
		theirs = append(theirs, page)
		if err = page.Truncate(4096); err == nil {
			s.board, err = mapBoard(int(page.Fd()))
		}
	}
	if err != nil {
		for _, f := range append(theirs, s.socket) {
			_ = f.Close() // nothing was written
		}
		return nil, nil, err
	}
	s.refs.Store(1)
	return s, theirs, nil
}

// ErrDescriptors is what Open says of numbers that New has not made.
var ErrDescriptors = errors.New("executor: not the descriptors of a worker")

// Open is the worker's side, of the descriptors that it has inherited.
func Open(numbers []uintptr) (*Side, error) {
	if len(numbers) != 2 {
		return nil, ErrDescriptors
	}
	b, err := mapBoard(int(numbers[1]))
	_ = unix.Close(int(numbers[1])) // it stays mapped
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(int(numbers[0]), true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return &Side{
		board: b, socket: os.NewFile(numbers[0], "files"),
		taken: make(map[string]*File),
	}, nil
}

// Release unmaps the parent's page when the last who uses it has released it.
func (s *Side) Release() {
	if s.refs.Add(-1) == 0 {
		_ = unix.MunmapPtr(unsafe.Pointer(s.board), 4096) // it was mapped by mapBoard
	}
}

func memfd(name string) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// created numbers the files of this process.
var created atomic.Uint64

// CreateFile makes a file to pass on. The directory is for systems without memfds.
func CreateFile(string) (*File, error) {
	f, err := memfd("executor")
	if err != nil {
		return nil, err
	}
	return &File{File: f, ID: strconv.FormatUint(created.Add(1), 10)}, nil
}

// Pass gives f to the other process, which reads and writes it from its beginning, and is to come
// before the frame that names it.
func (s *Side) Pass(f *File) error {
	if _, err := f.Seek(0, 0); err != nil { // the offset passes with it
		return err
	}
	return s.message(func(socket int) error {
		return f.control(func(fd int) error {
			return os.NewSyscallError("sendmsg",
				unix.Sendmsg(socket, []byte(f.ID), unix.UnixRights(fd), nil,
					unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT))
		})
	})
}

// Take is the file that the other process has passed under a name. It was passed before the name
// was sent, so there is nothing to wait for.
func (s *Side) Take(name string) (*File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.taken[name] == nil {
		if err := s.message(s.receiveLocked); err != nil {
			return nil, err
		}
	}
	f := s.taken[name]
	delete(s.taken, name)
	return f, nil
}

func (s *Side) receiveLocked(socket int) error {
	name, rights := make([]byte, 64), make([]byte, unix.CmsgSpace(4))
	n, rightsN, flags, _, err := unix.Recvmsg(socket, name, rights,
		unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("recvmsg", err)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:rightsN])
	if err != nil || len(messages) != 1 {
		if flags&unix.MSG_CTRUNC != 0 {
			return fmt.Errorf("receive a file: %w", unix.EMFILE) // what the kernel means by it
		}
		return ErrFile
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return ErrFile
	}
	s.taken[string(name[:n])] = &File{File: os.NewFile(uintptr(fds[0]), "memfd")}
	return nil
}

// message calls f with the socket, which is not closed meanwhile.
func (s *Side) message(f func(fd int) error) error { return (&File{File: s.socket}).control(f) }

// control calls use with f's descriptor.
func (f *File) control(use func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = use(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// Close closes the socket, and what came by it and was not taken.
func (s *Side) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.socket.Close() // nothing is buffered
	for name, f := range s.taken {
		f.Close()
		delete(s.taken, name)
	}
}

// ReadErrors reads from the worker's standard error and keeps count of it.
func (s *Side) ReadErrors(f *os.File, buf []byte) (n int, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var failed error
	err = conn.Read(func(fd uintptr) bool {
		s.reading.Store(1)
		n, failed = unix.Read(int(fd), buf)
		if n > 0 {
			s.consumed.Add(uint64(n))
		}
		s.reading.Store(0)
		return failed != unix.EAGAIN && failed != unix.EINTR
	})
	if err == nil {
		err = failed
	}
	return max(n, 0), err
}

// SetDir has nothing to do: memfds need no directory.
func (*Side) SetDir(string) {}

// Retain is for one more user of the parent's page, who will release it.
func (s *Side) Retain() { s.refs.Add(1) }

// MakeDir is not needed: memfds pass as descriptors.
func MakeDir() (string, error) { return "", nil }

// RemoveDir has nothing to do.
func RemoveDir(string) error { return nil }
