//go:build linux

package executor_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/executor"
)

func TestFunc_CarriesValues(t *testing.T) {
	ex := start(t, nil)
	for range 3 { // the second and third by the short way
		out, err := echo.Run(t.Context(), ex, sample)
		if err != nil || out.Email != sample.Email || !slices.Equal(out.Tags, sample.Tags) {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	for _, size := range []int{0, 1, 64 << 10, 1 << 20, 1<<20 + 1} {
		in := bytes.Repeat([]byte{'x', 0xff}, size/2+1)
		out, err := echoBytes.Run(t.Context(), ex, in)
		if err != nil || !bytes.Equal(in, out) {
			t.Errorf("%d bytes came back as %d, %v", len(in), len(out), err)
		}
		text, err := echoText.Run(t.Context(), ex, strings.Repeat("é", size))
		if err != nil || text != strings.Repeat("é", size) {
			t.Errorf("text of %d came back as %d, %v", 2*size, len(text), err)
		}
	}
}

func TestFunc_RefusesWhatIsTooLarge(t *testing.T) {
	ex := start(t, &executor.Options{Workers: 1, Spares: -1, MaxPayload: 2 << 20})
	if _, err := echoBytes.Run(t.Context(), ex, make([]byte, 2<<20+1)); !errors.Is(err,
		executor.ErrTooLarge) {
		t.Errorf("value: %v", err)
	}
	if _, err := upper.RunWith(t.Context(), ex, false,
		&executor.CallOptions{
			Input: strings.NewReader(strings.Repeat("x", 2<<20+1)),
		}); !errors.Is(err,
		executor.ErrTooLarge) {
		t.Errorf("input: %v", err)
	}
	if _, err := fill.Run(t.Context(), ex, 2<<20+1); !errors.Is(err, executor.ErrResult) ||
		!strings.Contains(err.Error(), "MaxPayload") {
		t.Errorf("result: %v", err)
	}
	if b, err := fill.Run(t.Context(), ex, 2<<20); err != nil || len(b) != 2<<20 {
		t.Errorf("largest result: %d bytes, %v", len(b), err)
	}
}

func TestFunc_StreamsInputAndOutput(t *testing.T) {
	ex := start(t, nil)
	text := strings.Repeat("stream ", 1<<18)
	var out bytes.Buffer
	n, err := upper.RunWith(t.Context(), ex, false,
		&executor.CallOptions{Input: strings.NewReader(text), Output: &out})
	if err != nil || n != int64(len(text)) || out.String() != strings.ToUpper(text) {
		t.Errorf("%d bytes, %d written, %v", n, out.Len(), err)
	}
	out.Reset()
	_, err = upper.RunWith(t.Context(), ex, true,
		&executor.CallOptions{Input: strings.NewReader(text), Output: &out})
	if err == nil || out.Len() != 0 {
		t.Errorf("a failed call delivered %d bytes, %v", out.Len(), err)
	}
	if _, err = upper.Run(t.Context(), ex, false); err == nil ||
		!strings.Contains(err.Error(), "no output") {
		t.Errorf("write without an output: %v", err)
	}
	broken := errors.New("broken")
	if _, err = upper.RunWith(t.Context(), ex, false,
		&executor.CallOptions{Input: badReader{broken}}); !errors.Is(err, broken) {
		t.Errorf("input that fails: %v", err)
	}
}

type badReader struct{ err error }

func (r badReader) Read([]byte) (int, error) { return 0, r.err }

func TestFunc_ErrorsAreTypedAndTheWorkerLivesOn(t *testing.T) {
	ex := start(t, nil)
	before, err := pid.Run(t.Context(), ex, none{})
	if err != nil {
		t.Fatal(err)
	}
	var remote *executor.RemoteError
	if _, err := fails.Run(t.Context(), ex, 418); !errors.As(err, &remote) ||
		remote.Status != 418 || remote.Func != "fails" || err.Error() != "wrapped: status 418" {
		t.Errorf("error with a status: %#v", err)
	}
	if _, err := fails.Run(t.Context(), ex, 200); !errors.As(err, &remote) ||
		remote.StatusCode() != 500 {
		t.Errorf("error with no error's status: %#v", err)
	}
	var panicked *executor.PanicError
	if _, err := panics.Run(t.Context(), ex, none{}); !errors.As(err, &panicked) ||
		panicked.Value != "oh no" || !strings.Contains(panicked.Stack, "main_test.go") {
		t.Errorf("panic: %#v", err)
	}
	for range 2 {
		if _, err := goexit.Run(t.Context(), ex, none{}); !errors.As(err, &panicked) ||
			!strings.Contains(panicked.Value, "Goexit") {
			t.Errorf("goexit: %#v", err)
		}
	}
	if _, err := nan.Run(t.Context(), ex, none{}); !errors.Is(err, executor.ErrResult) {
		t.Errorf("a result JSON cannot hold: %#v", err)
	}
	if after, err := pid.Run(t.Context(), ex, none{}); err != nil || after != before {
		t.Errorf("worker %d became %d, %v", before, after, err)
	}
	if s := ex.Stats().Process; s.Done != 2 || s.Failed != 6 || s.Restarts != 0 || s.Workers != 1 ||
		s.RunP99 == 0 {
		t.Errorf("%+v", s)
	}
}

func TestFunc_ContextReachesTheFunction(t *testing.T) {
	ex := start(t, &executor.Options{Workers: 1, Spares: -1, CancelGrace: time.Minute})
	before, _ := pid.Run(t.Context(), ex, none{})
	cause := errors.New("no longer wanted")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := waits.RunWith(ctx, ex, none{},
		&executor.CallOptions{Progress: func(jsontext.Value) { cancel(cause) }})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
		t.Errorf("cancelled: %v", err)
	}
	deadline, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if _, err = waits.Run(deadline, ex, none{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	ctx, cancel = context.WithCancelCause(t.Context())
	got, err := finishes.RunWith(ctx, ex, none{},
		&executor.CallOptions{Progress: func(jsontext.Value) { cancel(nil) }})
	if err != nil || got != "finished" {
		t.Errorf("a value within the grace: %q, %v", got, err)
	}
	if after, err := pid.Run(t.Context(), ex, none{}); err != nil || after != before {
		t.Errorf("worker %d became %d, %v", before, after, err)
	}
}

func TestFunc_OverrunIsKilled(t *testing.T) {
	for name, ignoreTerm := range map[string]bool{"by SIGTERM": false, "by SIGKILL": true} {
		t.Run(name, func(t *testing.T) {
			ex := start(t, nil)
			ctx, pass := expire(t.Context())
			var worker int
			_, err := loops.RunWith(ctx, ex, ignoreTerm,
				&executor.CallOptions{Progress: func(v jsontext.Value) {
					worker, _ = strconv.Atoi(string(v))
					pass()
				}})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			if worker == 0 || alive(worker) {
				t.Errorf("process %d is there", worker)
			}
			if _, err := echo.Run(t.Context(), ex, sample); err != nil {
				t.Errorf("the next call: %v", err)
			}
			if s := ex.Stats().Process; s.Killed != 1 || s.Restarts != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestFunc_KillTakesTheWholeGroup(t *testing.T) {
	ex := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var grandchild int
	_, err := child.RunWith(ctx, ex, none{},
		&executor.CallOptions{Progress: func(v jsontext.Value) {
			grandchild, _ = strconv.Atoi(string(v))
			cancel()
		}})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	eventually(t, "the worker's child gone",
		func() bool { return grandchild != 0 && !alive(grandchild) })
}

func TestCrash_IsClassified(t *testing.T) {
	cases := map[string]struct {
		kind   executor.CrashKind
		signal string
		code   int
		reason string
	}{
		"nil in another goroutine": {
			executor.CrashPanic, "", 2,
			"panic: runtime error: invalid memory address or nil pointer dereference",
		},
		"unsafe": {executor.CrashSignal, "SIGSEGV", 2, "fatal error: fault"},
		"memory": {executor.CrashOutOfMemory, "", 2, "fatal error: "},
		"threads": {
			executor.CrashOutOfMemory, "", 2,
			"runtime/cgo: pthread_create failed",
		},
		"map": {
			executor.CrashPanic, "", 2,
			"fatal error: concurrent map writes",
		},
		"signal":      {executor.CrashSignal, "SIGUSR1", -1, ""},
		"quit":        {executor.CrashSignal, "SIGQUIT", 2, "SIGQUIT: quit"},
		"long report": {executor.CrashPanic, "", 2, "panic: y"},
		"garbage": {
			executor.CrashSignal, "SIGKILL", -1,
			"executor: malformed frame",
		},
		"closes": {executor.CrashSignal, "SIGKILL", -1, ""},
	}
	ex := start(t, &executor.Options{Workers: 2, Procs: 2, MemoryLimit: 256 << 20})
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			rss := residentKB(t, os.Getpid())
			_, err := crashes.Run(t.Context(), ex, name)
			t.Logf("%v; server RSS %+d KiB", err, residentKB(t, os.Getpid())-rss)
			var crash *executor.CrashError
			if !errors.As(err, &crash) || !errors.Is(err, executor.ErrWorkerCrashed) ||
				crash.StatusCode() != 500 {
				t.Fatalf("%v", err)
			}
			if name == "memory" && crash.ExitCode == 66 { // the race detector's own end
				c.code, c.reason = 66, crash.Reason
			}
			if name == "threads" && crash.ExitCode == 4 {
				t.Skip("threads need little memory in this build")
			}
			if name == "memory" &&
				strings.HasPrefix(crash.Reason, "runtime/cgo: pthread_create failed") {
				// it may be a thread that found none
				c.reason = crash.Reason
			}
			if crash.Kind != c.kind || crash.Signal != c.signal && name != "signal" ||
				crash.ExitCode != c.code || !strings.HasPrefix(crash.Reason, c.reason) {
				t.Errorf("%+v", crash)
			}
			if crash.Func != "crashes" || crash.PID == 0 || len(crash.Stderr) > 64<<10 {
				t.Errorf("%+v", crash)
			}
			if _, err := echo.Run(t.Context(), ex, sample); err != nil {
				t.Errorf("the next call: %v", err)
			}
		})
	}
	for _, code := range []int{0, 2, 3} {
		var crash *executor.CrashError
		if _, err := exits.Run(t.Context(), ex, code); !errors.As(err, &crash) ||
			crash.Kind != executor.CrashExit || crash.ExitCode != code || crash.Reason != "" {
			t.Errorf("exit code %d: %+v", code, err)
		}
	}
}

func residentKB(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	kb, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return kb
}

func TestCrash_OfAnIdleWorkerHurtsNoCall(t *testing.T) {
	ex := start(t, nil)
	for range 20 {
		worker, err := pid.Run(t.Context(), ex, none{})
		if err != nil {
			t.Fatal(err)
		}
		restarts := ex.Stats().Process.Restarts
		if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another worker",
			func() bool { return ex.Stats().Process.Restarts > restarts })
	}
}

func TestCrash_EndsTheCallsThatShareTheWorker(t *testing.T) {
	ex := start(t, &executor.Options{Workers: 1, CallsPerWorker: 8, Procs: 2})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var begun, wg sync.WaitGroup
	errs := make(chan error, 7)
	begun.Add(7)
	for range 7 {
		wg.Go(func() {
			_, err := waits.RunWith(ctx, ex, none{},
				&executor.CallOptions{Progress: func(jsontext.Value) { begun.Done() }})
			errs <- err
		})
	}
	begun.Wait()
	if _, err := echo.Run(ctx, ex, sample); err != nil {
		t.Error(err)
	}
	overrun, pass := expire(ctx)
	_, err := loops.RunWith(overrun, ex, false,
		&executor.CallOptions{Progress: func(jsontext.Value) { pass() }})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	wg.Wait()
	for range 7 {
		var crash *executor.CrashError
		if err := <-errs; !errors.As(err, &crash) || crash.Kind != executor.CrashKilled ||
			crash.Func != "waits" {
			t.Errorf("%v", err)
		}
	}
}

func TestWorker_SeesOnlyWhatIsAllowed(t *testing.T) {
	t.Setenv("EXECUTOR_TEST_SECRET", "secret")
	t.Setenv("EXECUTOR_TEST_WANTED", "wanted")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	stray, err := syscall.Dup(int(w.Fd())) // a descriptor without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(stray)
	ex := start(t,
		&executor.Options{Workers: 1, Env: []string{"EXECUTOR_TEST_WANTED", "EXECUTOR_TEST_SET=1"}})
	got, err := inside.Run(t.Context(), ex, none{})
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "GOMAXPROCS", "GORACE",
		"EXECUTOR_TEST_WANTED", "EXECUTOR_TEST_SET", role,
	}
	for _, entry := range got["env"] {
		if name, _, _ := strings.Cut(entry, "="); !slices.Contains(allowed, name) {
			t.Errorf("environment: %s", entry)
		}
	}
	if !slices.Contains(got["env"], "EXECUTOR_TEST_WANTED=wanted") ||
		!slices.Contains(got["env"], "EXECUTOR_TEST_SET=1") {
		t.Errorf("environment: %v", got["env"])
	}
	if names := strings.Join(got["files"], "\n"); len(got["files"]) != 8 ||
		!strings.HasPrefix(names, "0 /dev/null\n1 pipe:") || !strings.Contains(names, "\n7 pipe:") {
		t.Errorf("descriptors:\n%s", names)
	}
	t.Log(got)
}

func TestProgress_AndLogsReachTheCaller(t *testing.T) {
	var stderr, logs lockedBuffer
	ex := start(t, &executor.Options{Workers: 1, Spares: -1, Stderr: &stderr})
	var values []string
	_, err := note.RunWith(t.Context(), ex, 1000, &executor.CallOptions{
		Progress: func(v jsontext.Value) { values = append(values, string(v)) },
		Logger:   slog.New(slog.NewTextHandler(&logs, nil)).With("request", 7),
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(values) == 0 || values[len(values)-1] != `"last"` ||
		!slices.IsSortedFunc(values[:len(values)-1],
			func(a, b string) int { return len(a) - len(b) }) {
		t.Errorf("progress %v", values)
	}
	if s := logs.String(); !strings.Contains(s,
		`level=INFO msg=hello request=7 a=1 g.b=two g.c=[3] g.d=four`) ||
		strings.Contains(s, "unheard") {
		t.Errorf("log %q", s)
	}
	if _, err := note.Run(t.Context(), ex, 1); err != nil { // nobody listens
		t.Error(err)
	}
	eventually(t, "both streams seen", func() bool {
		return strings.Contains(stderr.String(), "on stdout\n") &&
			strings.Contains(stderr.String(), "on stderr\n")
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestWorker_IsRecycled(t *testing.T) {
	t.Run("after calls", func(t *testing.T) {
		ex := start(t, &executor.Options{Workers: 1, RecycleCalls: 3})
		seen := map[int]int{}
		for range 9 {
			worker, err := pid.Run(t.Context(), ex, none{})
			if err != nil {
				t.Fatal(err)
			}
			seen[worker]++
		}
		for worker, n := range seen {
			if n > 3 {
				t.Errorf("worker %d had %d calls", worker, n)
			}
		}
		if len(seen) < 3 {
			t.Errorf("%v", seen)
		}
	})
	t.Run("when large", func(t *testing.T) {
		ex := start(t, &executor.Options{Workers: 1, RecycleRSS: 1 << 20}) // less than any has
		before, _ := pid.Run(t.Context(), ex, none{})
		eventually(t, "another worker", func() bool {
			after, err := pid.Run(t.Context(), ex, none{})
			return err == nil && after != before
		})
	})
}
