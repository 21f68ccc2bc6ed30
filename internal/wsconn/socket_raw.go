//go:build linux && (amd64 || arm64) && !race

package wsconn

import (
	"syscall"
	"unsafe"
)

// receive and send are recv(2) and send(2) that never wait, whatever the descriptor's flags: so the scheduler need not be told of them, which
// it otherwise has to be before and after, and which makes it take the processor from who is in one for 20 µs. To a socket alone, they are
// shorter in the kernel than read and write, too. Under the race detector the ones of package syscall are used, which tell it that what
// went before a write went before the read of the same bytes.

func receive(fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

func send(fd uintptr, p []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT|syscall.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
