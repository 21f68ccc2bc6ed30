package proc

import "os"

// Pipes is how many pipes a worker inherits: calls, answers, control, life and alive. Standard
// error is apart.
const Pipes = 5

// Number is f's descriptor, left as it is; File.Fd would make it blocking.
func Number(f *os.File) (number int) {
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { number = int(fd) }) // an error: closed, which it is not
	}
	return number
}
