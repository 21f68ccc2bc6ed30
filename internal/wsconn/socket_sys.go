//go:build unix && (race || !linux || (!amd64 && !arm64))

package wsconn

import "syscall"

func receive(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

func send(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }
