//go:build unix

package proc

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/genropy/genro-asgi-go/executor/internal/stderr"
)

// PassFiles makes cmd inherit the worker's ends and returns their numbers there.
func PassFiles(cmd *exec.Cmd, ends []*os.File) (numbers []uintptr, err error) {
	cmd.ExtraFiles = ends
	// not Pdeathsig: it fires when the thread that forked ends
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	for i := range ends {
		numbers = append(numbers, uintptr(3+i))
	}
	return numbers, nil
}

// Env is what a process needs to start at all.
var Env []string

// signalGroup signals every process of the worker's group. It must not be called once the worker
// was waited for: its number may then be another's.
func signalGroup(p *os.Process, sig syscall.Signal) {
	_ = syscall.Kill(-p.Pid, sig) // it may be gone already
}

// Terminate asks the process to end, and all of its group.
func Terminate(p *os.Process) { signalGroup(p, syscall.SIGTERM) }

// Kill ends the process, and all of its group. It must not be called once the process was waited
// for: its number may then be another's.
func Kill(p *os.Process) { signalGroup(p, syscall.SIGKILL) }

// StatusOf is how a process ended.
func StatusOf(state *os.ProcessState) stderr.Status {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		name := unix.SignalName(ws.Signal())
		if name == "" {
			name = "signal " + strconv.Itoa(int(ws.Signal()))
		}
		return stderr.Status{Code: -1, Signal: name}
	}
	return stderr.Status{Code: state.ExitCode()}
}

// WorkerPipes takes over the inherited descriptors and closes all others that came by inheritance:
// those have no close-on-exec flag, whereas what this process opened has.
func WorkerPipes(fds []uintptr, calls int) (in, out, control *os.File, err error) {
	for i, fd := range fds {
		var st unix.Stat_t
		if err := unix.Fstat(int(fd), &st); err != nil || i < Pipes &&
			st.Mode&unix.S_IFMT != unix.S_IFIFO {
			return nil, nil, nil, fmt.Errorf("descriptor %d is no pipe", fd)
		}
		unix.CloseOnExec(int(fd))
	}
	closeInherited()
	// One call at a time: the goroutine that serves blocks in read itself, which is quicker than
	// the poller (BenchmarkFunc_Run, one worker beside two calls a worker). More: a blocked read
	// would keep the functions from their processor.
	for i, poll := range [...]bool{calls > 1, calls > 1, true} {
		if err := unix.SetNonblock(int(fds[i]), poll); err != nil {
			return nil, nil, nil, os.NewSyscallError("fcntl", err)
		}
	}
	for _, fd := range [...]int{1, 2} {
		_ = unix.SetNonblock(fd, false) // children of the worker expect it so
	}
	armLifeline(fds[3])
	return os.NewFile(fds[0], "calls"), os.NewFile(fds[1], "answers"), os.NewFile(fds[2],
		"control"), nil
}

func closeInherited() {
	dir, err := os.Open(fdDir)
	if err != nil {
		return // no such directory on this system: nothing can be said of the descriptors
	}
	names, _ := dir.Readdirnames(-1) // what was read counts
	_ = dir.Close()
	for _, name := range names {
		fd, err := strconv.Atoi(name)
		if err != nil || fd <= 2 {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil &&
			flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
}

// EndOrphan ends this worker and what it started. On Linux the kernel has mostly done so by now.
func EndOrphan() { _ = syscall.Kill(0, syscall.SIGKILL) }
