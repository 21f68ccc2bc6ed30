package proc

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"

	"github.com/genropy/genro-asgi-go/executor/internal/stderr"
)

// PassFiles makes cmd inherit the worker's ends, which keep their numbers there.
func PassFiles(cmd *exec.Cmd, ends []*os.File) (numbers []uintptr, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	for _, f := range ends {
		number := f.Fd()
		numbers = append(numbers, number)
		if err := windows.SetHandleInformation(windows.Handle(number), windows.HANDLE_FLAG_INHERIT,
			windows.HANDLE_FLAG_INHERIT); err != nil {
			return numbers, os.NewSyscallError("SetHandleInformation", err)
		}
		cmd.SysProcAttr.AdditionalInheritedHandles = append(
			cmd.SysProcAttr.AdditionalInheritedHandles, syscall.Handle(number))
	}
	return numbers, nil
}

// Env is what a process needs to start at all.
var Env = []string{"SYSTEMROOT", "TEMP", "TMP"}

// Terminate asks the process to end, and all of its group.
func Terminate(p *os.Process) { Kill(p) } // there is no SIGTERM

// Kill ends the process, and all of its group. It must not be called once the process was waited
// for: its number may then be another's.
func Kill(p *os.Process) { _ = p.Kill() }

// StatusOf is how a process ended.
func StatusOf(state *os.ProcessState) stderr.Status { return stderr.Status{Code: state.ExitCode()} }

func WorkerPipes(fds []uintptr, _ int) (in, out, control *os.File, err error) {
	for _, h := range fds { // not for the worker's own children
		if err := windows.SetHandleInformation(windows.Handle(h), windows.HANDLE_FLAG_INHERIT,
			0); err != nil {
			return nil, nil, nil, os.NewSyscallError("SetHandleInformation", err)
		}
	}
	armLifeline(fds[3])
	return os.NewFile(fds[0], "calls"), os.NewFile(fds[1], "answers"), os.NewFile(fds[2],
		"control"), nil
}

// EndOrphan has no process group to end.
func EndOrphan() {}
