package proc

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		os.Stdout.WriteString("running\n")
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(7)
	}
	leakcheck.Main(m)
}

// child starts the program by a path and returns it when it runs. It ends with its standard input.
func child(t *testing.T, path string) (*exec.Cmd, io.Closer) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, "child")
	if _, err := PassFiles(cmd, nil); err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "running\n" {
		t.Fatalf("%q, %v", line, err)
	}
	return cmd, in
}

func TestProgram_StartsFromACopyWhereTheFileMayNotBeExecuted(t *testing.T) {
	p := Open()
	defer p.Close()
	path, err := p.Path(nil)
	if err != nil || path != "/proc/self/exe" {
		t.Fatalf("%q, %v", path, err)
	}
	if _, err := p.Path(io.ErrUnexpectedEOF); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("an error that a copy does not mend became %v", err)
	}
	copied, err := p.Path(fs.ErrPermission)
	if err != nil || copied == path {
		t.Fatalf("%q, %v", copied, err)
	}
	if again, err := p.Path(nil); again != copied || err != nil {
		t.Errorf("the next process starts from %q, %v", again, err)
	}
	cmd, in := child(t, copied)
	_ = in.Close()
	_ = cmd.Wait()
	if s := StatusOf(cmd.ProcessState); s.Code != 7 || s.Signal != "" {
		t.Errorf("%+v", s)
	}
}

func TestKill_EndsTheGroup(t *testing.T) {
	for want, end := range map[string]func(*os.Process){"SIGTERM": Terminate, "SIGKILL": Kill} {
		cmd, in := child(t, "/proc/self/exe")
		end(cmd.Process)
		_ = cmd.Wait()
		_ = in.Close()
		if s := StatusOf(cmd.ProcessState); s.Code != -1 || s.Signal != want {
			t.Errorf("%+v, want %s", s, want)
		}
	}
}

// TestReapOrphans has a dead child of this process in another's group, as an adopted orphan is.
func TestReapOrphans_AwaitsTheGroupButNotItsFirst(t *testing.T) {
	first, in := child(t, "/proc/self/exe")
	second := exec.CommandContext(t.Context(), "/proc/self/exe", "child")
	second.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pgid: first.Process.Pid}
	if err := second.Start(); err != nil { // without standard input, it ends
		t.Fatal(err)
	}
	for second.Process.Signal(syscall.Signal(0)) == nil {
		if !ReapOrphans(first.Process.Pid) {
			t.Fatal("the first is no child any more")
		}
	}
	_ = in.Close()
	if _, err := first.Process.Wait(); err != nil {
		t.Errorf("the first was awaited by somebody else: %v", err)
	}
	_ = first.Wait()
	_ = second.Wait()
	ReapAll(first.Process.Pid, time.Minute) // returns at once, as nothing is left
	if ReapOrphans(first.Process.Pid) {
		t.Error("a group without a process has children")
	}
}

func TestID_IsNothingWhereNobodyCanReplaceTheProgram(t *testing.T) {
	if id := ID(); id != "" {
		t.Errorf("%q, but a worker is the running program itself", id)
	}
}

func TestMemoryCopy_OfWhatCannotBeRead(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer r.Close()
	if _, err := memoryCopy(r); err == nil {
		t.Error("a copy of a pipe, which has no beginning")
	}
	p := &Program{self: r}
	if _, err := p.Path(fs.ErrPermission); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the error that asked for the copy is lost: %v", err)
	}
}

func TestAdopts_OnlyProcess1OrASubreaper(t *testing.T) {
	if Adopts() != (os.Getpid() == 1) {
		t.Error("a common process adopts orphans")
	}
}

func TestMemory_IsSeenAndBounded(t *testing.T) {
	if n, err := ResidentBytes(os.Getpid()); err != nil || n < 1<<20 {
		t.Errorf("%d bytes resident, %v", n, err)
	}
	if _, err := ResidentBytes(-1); err == nil {
		t.Error("a process that is not there has a size")
	}
	if err := errors.Join(Limit(0), Limit(1<<40)); err != nil { // more than this test may need
		t.Fatal(err)
	}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_DATA, &limit); err != nil || limit.Cur < 1<<40 ||
		limit.Cur > 1<<41 {
		t.Errorf("limit %d, %v", limit.Cur, err)
	}
}

func TestPipeSize_IsWhatThePipeHolds(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if n := PipeSize(r); n < 4096 {
		t.Errorf("a pipe holds %d bytes", n)
	}
}

// TestWorkerPipes takes pipes over in this process. It disarms the lifeline before its end closes.
func TestWorkerPipes_TakesPipesAndNothingElse(t *testing.T) {
	var theirs [Pipes]*os.File
	var numbers []uintptr
	for i := range theirs {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		theirs[i] = w
		fd, err := syscall.Dup(int(r.Fd())) // without close-on-exec, as what is inherited
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Close()
		numbers = append(numbers, uintptr(fd))
	}
	var strange [2]int
	if err := syscall.Pipe(strange[:]); err != nil {
		t.Fatal(err)
	}
	in, out, control, err := WorkerPipes(numbers, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(numbers[3], unix.F_SETFL, 0); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_, _, _ = in.Close(), out.Close(), control.Close()
		_, _ = syscall.Close(int(numbers[3])), syscall.Close(int(numbers[4]))
	}()
	for _, fd := range strange {
		if err := syscall.Close(fd); !errors.Is(err, syscall.EBADF) {
			t.Errorf("a strange descriptor that was inherited is still there: %v", err)
		}
	}
	_, _ = theirs[0].WriteString("call")
	b := make([]byte, 4)
	if n, err := in.Read(b); string(b[:n]) != "call" {
		t.Errorf("%q, %v", b[:n], err)
	}
	devNull, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer devNull.Close()
	_, _, _, err = WorkerPipes([]uintptr{devNull.Fd()}, 1)
	if err == nil || !strings.Contains(err.Error(), "is no pipe") {
		t.Errorf("no pipe was taken: %v", err)
	}
}
