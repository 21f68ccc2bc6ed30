package executor

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// passPipes makes cmd inherit the worker's ends, which keep their numbers there.
func passPipes(cmd *exec.Cmd, ends [5]*os.File) (numbers [5]uintptr, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	for i, f := range ends {
		numbers[i] = f.Fd()
		if err := windows.SetHandleInformation(windows.Handle(numbers[i]), windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT); err != nil {
			return numbers, os.NewSyscallError("SetHandleInformation", err)
		}
		cmd.SysProcAttr.AdditionalInheritedHandles = append(cmd.SysProcAttr.AdditionalInheritedHandles, syscall.Handle(numbers[i]))
	}
	return numbers, nil
}

// platformEnv is what a process needs to start at all.
var platformEnv = []string{"SYSTEMROOT", "TEMP", "TMP"}

func terminate(p *os.Process) { kill(p) } // there is no SIGTERM
func kill(p *os.Process)      { _ = p.Kill() }

func statusOf(state *os.ProcessState) exitStatus { return exitStatus{code: state.ExitCode()} }

func workerPipes(fds [5]uintptr, _ int) (in, out, control *os.File, err error) {
	for _, h := range fds { // not for the worker's own children
		if err := windows.SetHandleInformation(windows.Handle(h), windows.HANDLE_FLAG_INHERIT, 0); err != nil {
			return nil, nil, nil, os.NewSyscallError("SetHandleInformation", err)
		}
	}
	armLifeline(fds[3])
	return os.NewFile(fds[0], "calls"), os.NewFile(fds[1], "answers"), os.NewFile(fds[2], "control"), nil
}

// endOrphan has no process group to end.
func endOrphan() {}
