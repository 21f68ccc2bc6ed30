//go:build linux

package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

// role is an environment variable that makes this binary something else than a test or a worker.
const role = "EXECUTOR_TEST_ROLE"

func TestMain(m *testing.M) {
	as := os.Getenv(role)
	if how, ok := strings.CutPrefix(as, "changes "); ok {
		executor.Main()
		changing(how)
	}
	switch as {
	case "": // of examples
		executor.UseWorker(continueRequest)
	case "middleware":
		executor.UseWorker(tracesInWorker, meddlesInWorker)
	case "raw echo":
		rawEcho()
	case "no main": // a program that forgot executor.Main
		os.Exit(0)
	case "hangs":
		_, _ = io.Copy(io.Discard, os.NewFile(3, "calls"))
		select {}
	case "starts": // the same, and it goes on to start an executor
		fmt.Println(executor.New(nil).Start(context.Background()))
		os.Exit(0)
	case "other build":
		executor.NewFunc("one more", func(context.Context, int) (int, error) { return 0, nil })
	case "adopts":
		executor.Main()
		adopting()
	case "closed":
		executor.Main()
		closed()
	case "parent":
		executor.Main()
		parent()
	}
	executor.Main()
	leakcheck.Main(m)
}

type record struct {
	ID    int      `json:"id"`
	Name  string   `json:"name"`
	Email string   `json:"email"`
	Tags  []string `json:"tags"`
	Score float64  `json:"score"`
}

var sample = record{
	ID: 12345, Name: "Ada Lovelace", Email: "ada@example.org",
	Tags: []string{"a", "bc"}, Score: 3.25,
}

type none = struct{}

type statusError int

func (e statusError) Error() string   { return fmt.Sprintf("status %d", int(e)) }
func (e statusError) StatusCode() int { return int(e) }

var sink []byte

var quiet = slog.New(slog.DiscardHandler)

// Functions of the workers.
var (
	echo = executor.NewFunc("echo",
		func(_ context.Context, in record) (record, error) { return in, nil })
	echoBytes = executor.NewFunc("echo bytes",
		func(_ context.Context, in []byte) ([]byte, error) { return in, nil })
	echoText = executor.NewFunc("echo text",
		func(_ context.Context, in string) (string, error) { return in, nil })
	fill = executor.NewFunc("fill",
		func(_ context.Context, n int) ([]byte, error) { return make([]byte, n), nil })
	pid = executor.NewFunc("pid",
		func(context.Context, none) (int, error) { return os.Getpid(), nil })
	fails = executor.NewFunc("fails", func(_ context.Context, status int) (none, error) {
		return none{}, fmt.Errorf("wrapped: %w", statusError(status))
	})
	panics = executor.NewFunc("panics",
		func(context.Context, none) (none, error) { panic("oh no") })
	goexit = executor.NewFunc("goexit", func(context.Context, none) (none, error) {
		runtime.Goexit()
		return none{}, nil
	})
	nan = executor.NewFunc("nan",
		func(context.Context, none) (float64, error) { return math.NaN(), nil })

	// waits reports its process id as progress and returns when its context ends.
	waits = executor.NewFunc("waits", func(ctx context.Context, _ none) (time.Time, error) {
		_ = executor.Progress(ctx, os.Getpid())
		<-ctx.Done()
		deadline, _ := ctx.Deadline()
		return deadline, ctx.Err()
	})
	// loops never returns, whatever its context does.
	loops = executor.NewFunc("loops", func(ctx context.Context, ignoreTerm bool) (int, error) {
		if ignoreTerm {
			signal.Ignore(syscall.SIGTERM)
		}
		_ = executor.Progress(ctx, os.Getpid())
		for n := 0; ; n++ {
			if n < 0 {
				return n, nil
			}
		}
	})
	// finishes a little after its context has ended.
	finishes = executor.NewFunc("finishes", func(ctx context.Context, _ none) (string, error) {
		_ = executor.Progress(ctx, os.Getpid())
		<-ctx.Done()
		return "finished", nil
	})

	saysAndExits = executor.NewFunc("says and exits", func(context.Context, none) (none, error) {
		fmt.Fprintln(os.Stderr, "last words")
		os.Exit(3)
		return none{}, nil
	})
	exits = executor.NewFunc("exits",
		func(_ context.Context, code int) (none, error) { os.Exit(code); return none{}, nil })
	crashes = executor.NewFunc("crashes", func(_ context.Context, how string) (none, error) {
		switch how {
		case "nil in another goroutine":
			go func() {
				var p *record
				p.ID = 1
			}()
		case "unsafe":
			wild := uintptr(1) << 40
			**(**int)(unsafe.Pointer(&wild)) = 1
		case "memory":
			var all [][]byte
			for {
				all = append(all, bytes.Repeat([]byte{1}, 1<<20))
				sink = all[len(all)-1]
			}
		case "map":
			m := map[int]int{}
			go func() {
				for {
					m[1] = 1
				}
			}()
			for {
				m[2] = 2
			}
		case "signal":
			_ = syscall.Kill(os.Getpid(), syscall.SIGUSR1)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		case "quit":
			_ = syscall.Kill(os.Getpid(), syscall.SIGQUIT)
		case "long report":
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 200<<10))
			panic2 := make(chan none)
			go func() { panic(strings.Repeat("y\n", 100<<10)) }()
			<-panic2
		case "threads":
			var began sync.WaitGroup
			for range 200 {
				began.Add(1)
				go func() {
					runtime.LockOSThread()
					began.Done()
					select {}
				}()
			}
			began.Wait()
			os.Exit(4) // without cgo their stacks are small
		case "garbage":
			_, _ = os.NewFile(4, "answers").WriteString(strings.Repeat("garbage ", 100))
		case "closes":
			_ = syscall.Close(4)
		}
		select {}
	})
	note = executor.NewFunc("note", func(ctx context.Context, n int) (none, error) {
		for i := range n {
			if err := executor.Progress(ctx, i); err != nil {
				return none{}, err
			}
		}
		log := executor.Logger(ctx).With("a", 1).WithGroup("g")
		log.Info("hello", "b", "two", "c", []int{3}, "d", errors.New("four"))
		log.Debug("unheard")
		fmt.Println("on stdout")
		fmt.Fprintln(os.Stderr, "on stderr")
		return none{}, executor.Progress(ctx, "last")
	})
	upper = executor.NewFunc("upper", func(ctx context.Context, fail bool) (int64, error) {
		b, err := io.ReadAll(executor.Input(ctx))
		if err != nil {
			return 0, err
		}
		n, err := executor.Output(ctx).Write(bytes.ToUpper(b))
		if err == nil && fail {
			err = statusError(http.StatusTeapot)
		}
		return int64(n), err
	})
	inside = executor.NewFunc("inside", func(context.Context, none) (map[string][]string, error) {
		files := []string{}
		entries, err := os.ReadDir("/proc/self/fd")
		for _, e := range entries {
			target, _ := os.Readlink("/proc/self/fd/" + e.Name())
			n, _ := strconv.Atoi(e.Name())
			flags, _ := unix.FcntlInt(uintptr(n), unix.F_GETFD, 0)
			if n < 3 || flags&unix.FD_CLOEXEC == 0 || strings.HasPrefix(target, "pipe:") {
				// the others are Go's own
				files = append(files, e.Name()+" "+target)
			}
		}
		stdin, _ := io.ReadAll(os.Stdin)
		return map[string][]string{
			"env": os.Environ(), "files": files,
			"stdin": {string(stdin)},
		}, err
	})
	child = executor.NewFunc("child", func(ctx context.Context, _ none) (none, error) {
		cmd := exec.CommandContext(context.WithoutCancel(ctx), "sleep", "600")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			return none{}, err
		}
		_ = executor.Progress(ctx, cmd.Process.Pid)
		select {}
	})
)

// noRaceSleep: else a process with the race detector sleeps for a second before it exits.
var noRaceSleep = []string{"GORACE=atexit_sleep_ms=0"}

func start(t testing.TB, o *executor.Options) *executor.Executor {
	t.Helper()
	options := executor.Options{Workers: 1, Spares: -1}
	if o != nil {
		options = *o
	}
	// a worker without middleware, unless o says otherwise
	options.Env = slices.Concat([]string{role + "=plain"}, options.Env, noRaceSleep)
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Stderr == nil {
		options.Stderr = io.Discard
	}
	ex := executor.New(&options)
	if err := ex.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ex.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return ex
}

// alive reports whether a process exists and is no zombie.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	rest := string(b[bytes.LastIndexByte(b, ')')+1:])
	return !strings.HasPrefix(rest, " Z") && !strings.HasPrefix(rest, " X")
}

// eventually waits for something that other processes do, or other goroutines. It has no deadline
// of its own, which a loaded machine could miss, but go test's.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end, bounded := t.Deadline()
	for !ok() {
		if bounded && time.Until(end) < 5*time.Second {
			t.Fatalf("still not: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// expiring is a context whose deadline passes when the test says so.
type expiring struct {
	context.Context
	passed chan none
}

// expire returns such a context, and what makes its deadline pass.
func expire(parent context.Context) (ctx context.Context, pass func()) {
	e := expiring{parent, make(chan none)}
	return e, sync.OnceFunc(func() { close(e.passed) })
}

// Done implements context.Context.
func (e expiring) Done() <-chan none { return e.passed }

// Err implements context.Context.
func (e expiring) Err() error {
	select {
	case <-e.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
