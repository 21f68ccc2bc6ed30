//go:build linux

package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/sys/unix"

	"github.com/genropy/genro-asgi-go/executor"
)

// prints writes to standard error, a line or the beginning of one, and then ends its process if it
// is told to.
var prints = executor.NewFunc("prints", func(_ context.Context, in struct {
	Text string
	Exit int
},
) (int, error) {
	_, err := os.Stderr.WriteString(in.Text)
	if in.Exit > 0 {
		os.Exit(in.Exit)
	}
	return os.Getpid(), err
})

type printed = struct {
	Text string
	Exit int
}

// stuckWriter takes nothing until it is freed.
type stuckWriter struct {
	lockedBuffer
	free chan none
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	<-w.free
	return w.lockedBuffer.Write(p)
}

func TestStderr_ThatIsNotReadHoldsNobody(t *testing.T) {
	w := &stuckWriter{free: make(chan none)}
	ex := executor.New(&executor.Options{Workers: 1, Stderr: w, Env: noRaceSleep, Logger: quiet})
	if err := ex.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 5 { // more than pipes and the queue hold
		if _, err := prints.Run(t.Context(), ex, printed{Text: strings.Repeat("x", 1<<20)}); err !=
			nil {
			t.Error(err)
		}
	}
	if err := ex.Stop(t.Context()); err == nil || !strings.Contains(err.Error(), "Options.Stderr") {
		t.Errorf("Stop: %v", err)
	}
	close(w.free)
}

func TestStderr_TellsWhatItDropped(t *testing.T) {
	w := &stuckWriter{free: make(chan none)}
	ex := start(t, &executor.Options{Workers: 1, Stderr: w})
	for range 5 {
		if _, err := prints.Run(t.Context(), ex,
			printed{Text: strings.Repeat("x", 1<<20)}); err != nil {
			t.Error(err)
		}
	}
	close(w.free)
	note := regexp.MustCompile(`executor: (\d+) bytes of what workers printed were dropped`)
	kept, lost := 0, 0
	eventually(t, "all of it written or told", func() bool {
		got := w.String()
		kept, lost = strings.Count(got, "x"), 0
		for _, told := range note.FindAllStringSubmatch(got, -1) {
			kept-- // that of "executor"
			n, err := strconv.Atoi(told[1])
			if err != nil {
				t.Fatal(err)
			}
			lost += n
		}
		return kept+lost >= 5<<20
	})
	if kept == 0 || lost == 0 || kept+lost > 5<<20 {
		t.Errorf("%d bytes kept and %d told as lost of %d", kept, lost, 5<<20)
	}
}

type panickingWriter struct{}

func (panickingWriter) Write([]byte) (int, error) { panic("no writer") }

func TestStderr_MayPanic(t *testing.T) {
	ex := start(t, &executor.Options{Workers: 1, Stderr: panickingWriter{}})
	if _, err := prints.Run(t.Context(), ex, printed{Text: "text\n"}); err != nil {
		t.Error(err)
	}
}

func TestCrash_ReportHoldsNothingOfEarlierCalls(t *testing.T) {
	ex := start(t, &executor.Options{Workers: 1, Spares: 1})
	for round := range 20 {
		if round%2 == 0 {
			// so that calls may follow each other in the worker with nothing between them
			quicken(t, ex)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := prints.Run(t.Context(), ex,
					printed{Text: "panic: canary\nSIGBUS: canary\ncanary without an end"}); err !=
					nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			_, err := prints.Run(t.Context(), ex, printed{Text: "own text\n", Exit: 2})
			var crash *executor.CrashError
			if !errors.As(err, &crash) {
				t.Errorf("%v", err)
				return
			}
			if strings.Contains(crash.Stderr+crash.Reason, "canary") ||
				!strings.Contains(crash.Stderr, "own text") || crash.Kind != executor.CrashExit {
				t.Errorf("kind %s, reason %q, %q", crash.Kind, crash.Reason, crash.Stderr)
			}
		})
		wg.Wait()
	}
}

func TestStop_EndsAStartThatHangs(t *testing.T) {
	ex := executor.New(&executor.Options{
		Workers: 1, Env: []string{role + "=hangs"},
		StartTimeout: time.Hour, Stderr: io.Discard, Logger: quiet,
	})
	started := make(chan error, 1)
	go func() { started <- ex.Start(t.Context()) }()
	eventually(t, "a process", func() bool { return len(children(t)) > 0 })
	if err := ex.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-started; !errors.Is(err, executor.ErrNotRunning) {
		t.Errorf("Start: %v", err)
	}
}

// children are the numbers of this process's children.
func children(t *testing.T) []string {
	t.Helper()
	var all []string
	files, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, _ := os.ReadFile(f)
		all = append(all, strings.Fields(string(b))...)
	}
	return all
}

// TestProgress_CallbackThatDoesNotReturn: a panic, or the end of the goroutine, cancels the call,
// whose worker still has it.
func TestProgress_CallbackThatDoesNotReturn(t *testing.T) {
	ex := start(t, &executor.Options{Workers: 1, Spares: -1, CancelGrace: time.Minute})
	before, err := pid.Run(t.Context(), ex, none{})
	if err != nil {
		t.Fatal(err)
	}
	for name, leave := range map[string]func(){
		"panic":  func() { panic("oh no") },
		"goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			var wg sync.WaitGroup
			var value any
			wg.Go(func() {
				defer func() { value = recover() }()
				_, err := waits.RunWith(t.Context(), ex, none{},
					&executor.CallOptions{Progress: func(jsontext.Value) { leave() }})
				t.Errorf("it returned %v", err)
			})
			wg.Wait()
			if (value != nil) != (name == "panic") {
				t.Errorf("the panic became %v", value)
			}
			for range 100 { // none of them gets what was that call's
				if after, err := pid.Run(t.Context(), ex, none{}); err != nil || after != before {
					t.Fatalf("worker %d became %d, %v", before, after, err)
				}
			}
			if s := ex.Stats().Process; s.Running != 0 || s.Queued != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

type stuckHandler struct {
	slog.Handler
	begun, free chan none
}

func (h stuckHandler) Handle(context.Context, slog.Record) error {
	select {
	case h.begun <- none{}:
	default:
	}
	<-h.free
	return nil
}

// TestLogger_OfOneCallHoldsUpNoOther: they share a worker.
func TestLogger_OfOneCallHoldsUpNoOther(t *testing.T) {
	ex := start(t, &executor.Options{Workers: 1, Spares: -1, CallsPerWorker: 4, Procs: 2})
	h := stuckHandler{
		slog.NewTextHandler(new(lockedBuffer), nil), make(chan none, 1),
		make(chan none),
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := note.RunWith(t.Context(), ex, 1,
			&executor.CallOptions{Logger: slog.New(h)}); err != nil {
			t.Error(err)
		}
	})
	<-h.begun
	for range 20 {
		if _, err := echo.Run(t.Context(), ex, sample); err != nil {
			t.Error(err)
		}
	}
	close(h.free)
	wg.Wait()
}

// TestWorker_ThatDiesByItselfIsNotStartedWithoutEnd: with a pause, and a line of the log now and
// then.
func TestWorker_ThatDiesByItselfIsNotStartedWithoutEnd(t *testing.T) {
	var logs lockedBuffer
	ex := start(t, &executor.Options{
		Workers: 1, Spares: -1, Logger: slog.New(slog.NewTextHandler(&logs, nil)),
	})
	for deaths := range uint64(8) {
		eventually(t, "a worker that is ready", func() bool {
			s := ex.Stats().Process
			return s.Workers == 1 && s.Restarts == deaths
		})
		for _, worker := range children(t) {
			_ = syscall.Kill(mustInt(t, worker), syscall.SIGKILL)
		}
	}
	eventually(t, "the eighth death",
		func() bool { return strings.Contains(logs.String(), "times=8") })
	text := logs.String()
	if strings.Count(text, "\n") != 4 || // of the first, second, fourth and eighth
		strings.Count(text, "it died before it had a call") != 4 ||
		!strings.Contains(text, "died of SIGKILL") {
		t.Errorf("%s", text)
	}
}

// again runs this binary in another role and returns what it prints to standard output: measuring
// coverage warns on the other.
func again(t *testing.T, path, as string, change func(cmd *exec.Cmd)) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path)
	cmd.Env = append(os.Environ(), role+"="+as)
	if change != nil {
		change(cmd)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%v\n%s%s", err, out, stderr.Bytes())
	}
	return string(out)
}

// copyOfItself is a copy of this binary that everybody may execute.
func copyOfItself(t *testing.T) string {
	t.Helper()
	//nolint:usetesting // t.TempDir is not open to another user
	dir, err := os.MkdirTemp("/tmp", "executor-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "program")
	b, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755),
			os.WriteFile(path, b, 0o755)) // to be executed
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWorker_OfAProgramWhoseFileChanges: those that are started afterwards are of the same program,
// and work.
func TestWorker_OfAProgramWhoseFileChanges(t *testing.T) {
	for _, how := range []string{"touch", "replace", "remove", "rename", "chmod"} {
		t.Run(how, func(t *testing.T) {
			if out := again(t, copyOfItself(t), "changes "+how, nil); out != "" {
				t.Error(out)
			}
		})
	}
}

// changing is the life of such a program.
func changing(how string) {
	self, err := os.Executable()
	// each call gets a new process
	ex := executor.New(&executor.Options{Workers: 1, Spares: -1, RecycleCalls: 1, Env: noRaceSleep})
	err = errors.Join(err, ex.Start(context.Background()))
	switch how {
	case "touch":
		err = errors.Join(err, os.Chtimes(self, time.Unix(1, 0), time.Unix(1, 0)))
	case "replace":
		err = errors.Join(err, os.WriteFile(self+".new", []byte("another program"), 0o700),
			os.Rename(self+".new", self))
	case "remove":
		err = errors.Join(err, os.Remove(self))
	case "rename":
		err = errors.Join(err, os.Rename(self, self+".old"))
	case "chmod":
		err = errors.Join(err, os.Chmod(self, 0o644)) // what an administrator may do
	}
	for range 5 {
		_, callErr := pid.Run(context.Background(), ex, none{})
		err = errors.Join(err, callErr)
	}
	if err = errors.Join(err, ex.Stop(context.Background())); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestWorker_LeavesNoZombies in a process that gets the orphans, as process 1 of a container does.
func TestWorker_LeavesNoZombies(t *testing.T) {
	if out := again(t, "/proc/self/exe", "adopts", nil); out != "" {
		t.Error(out)
	}
}

// orphan leaves two children: one that is gone soon, and one that lives on.
var orphan = executor.NewFunc("orphan", func(ctx context.Context, _ none) (none, error) {
	return none{}, exec.CommandContext(ctx, "sh", "-c", "sleep 600 & true & true").Run()
})

// zombies counts the dead children of this process that nobody has awaited.
func zombies() (n int) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return -1
	}
	for _, name := range all {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // gone meanwhile
		}
		_, rest, _ := strings.Cut(string(b), ") ")
		if strings.HasPrefix(rest, fmt.Sprint("Z ", os.Getpid(), " ")) {
			n++
		}
	}
	return n
}

func adopting() {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	ctx := context.Background()
	// no spare: the calls below would go to it, should it start late, and what a worker has left is
	// awaited after its own calls
	ex := executor.New(&executor.Options{Workers: 1, Spares: -1, Env: noRaceSleep, Logger: quiet})
	err := ex.Start(ctx)
	for range 10 {
		_, callErr := orphan.Run(ctx, ex, none{})
		err = errors.Join(err, callErr)
	}
	left := -1
	// while the worker lives, after a call at the latest
	for begun := time.Now(); left != 0 && time.Since(begun) < time.Minute; {
		_, callErr := pid.Run(ctx, ex, none{})
		err = errors.Join(err, callErr)
		left = zombies()
	}
	if left != 0 {
		err = errors.Join(err, fmt.Errorf("%d zombies are left beside a worker that lives", left))
	}
	_, crash := exits.Run(ctx, ex, 3)
	if !errors.Is(crash, executor.ErrWorkerCrashed) {
		err = errors.Join(err, fmt.Errorf("crash: %w", crash))
	}
	err = errors.Join(err, ex.Stop(ctx))
	var status unix.WaitStatus
	if n, waitErr := unix.Wait4(-1, &status, unix.WNOHANG, nil); !errors.Is(waitErr, unix.ECHILD) {
		err = errors.Join(err, fmt.Errorf("there are children left: %d, %w", n, waitErr))
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// TestWorker_OfAProgramThatMayNotBeLookedAt: neither it nor its workers may be looked at by way of
// /proc, as with file capabilities.
func TestWorker_OfAProgramThatMayNotBeLookedAt(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be another user")
	}
	if out := again(t, copyOfItself(t), "closed", func(cmd *exec.Cmd) {
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: 65534, Gid: 65534},
		}
	}); out != "" {
		t.Error(out)
	}
}

// closeItself makes the worker as closed as its parent.
var closeItself = executor.NewFunc("close itself", func(context.Context, none) (none, error) {
	return none{}, unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
})

func closed() {
	ctx := context.Background()
	ex := executor.New(&executor.Options{Workers: 1, Spares: -1, Env: noRaceSleep, Logger: quiet})
	err := errors.Join(unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0), ex.Start(ctx))
	if _, lookErr := os.ReadDir(fmt.Sprintf("/proc/%d/fd", os.Getppid())); lookErr == nil {
		err = errors.Join(err, errors.New("this proves nothing: /proc is open"))
	}
	_, callErr := closeItself.Run(ctx, ex, none{})
	err = errors.Join(err, callErr)
	large := bytes.Repeat([]byte("large "), 1<<19)
	got, callErr := echoBytes.Run(ctx, ex, large)
	if err = errors.Join(err, callErr); !bytes.Equal(got, large) {
		err = errors.Join(err, fmt.Errorf("%d bytes came back as %d", len(large), len(got)))
	}
	var out bytes.Buffer
	_, callErr = upper.RunWith(ctx, ex, false,
		&executor.CallOptions{Input: strings.NewReader("stream"), Output: &out})
	if err = errors.Join(err, callErr); out.String() != "STREAM" {
		err = errors.Join(err, fmt.Errorf("output %q", &out))
	}
	if err = errors.Join(err, ex.Stop(ctx)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}
