//go:build linux

package executor_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/executor"
)

func TestExecutor_StartSaysWhatIsWrong(t *testing.T) {
	for as, want := range map[string]string{
		"no main":     "does main (in tests TestMain) call executor.Main()",
		"hangs":       "no answer within",
		"starts":      "does main (in tests TestMain) call executor.Main()",
		"other build": "restart this process",
	} {
		t.Run(as, func(t *testing.T) {
			timeout := 10 * time.Second
			if as == "hangs" {
				timeout = 100 * time.Millisecond
			}
			ex := executor.New(&executor.Options{
				Workers: 2, Env: []string{role + "=" + as},
				StartTimeout: timeout, Stderr: io.Discard, Logger: slog.New(slog.DiscardHandler),
			})
			err := ex.Start(t.Context())
			var failed *executor.StartError
			if !errors.As(err, &failed) || !strings.Contains(err.Error(), want) ||
				failed.StatusCode() != 503 {
				t.Errorf("%v", err)
			}
			if as == "starts" && failed != nil &&
				!strings.Contains(failed.Stderr, "this process is a worker") {
				t.Errorf("it went on to start workers of its own: %q", failed.Stderr)
			}
			if _, err := echo.Run(t.Context(), ex, sample); !errors.Is(err,
				executor.ErrNotRunning) {
				t.Errorf("call: %v", err)
			}
		})
	}
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		ex := executor.New(&executor.Options{
			Workers: 1, Env: []string{role + "=hangs"},
			Stderr: io.Discard,
		})
		if err := ex.Start(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
}

func TestExecutor_LifeCycle(t *testing.T) {
	ex := executor.New(&executor.Options{
		Workers: 1, Env: noRaceSleep, Stderr: io.Discard,
		Logger: slog.New(slog.DiscardHandler),
	})
	if _, err := echo.Run(t.Context(), ex, sample); !errors.Is(err, executor.ErrNotRunning) {
		t.Errorf("before Start: %v", err)
	}
	if err := ex.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := ex.Start(t.Context()); err == nil {
		t.Error("it started twice")
	}
	worker, err := pid.Run(t.Context(), ex, none{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := ex.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if alive(worker) {
		t.Error("a worker outlived Stop")
	}
	if _, err := echo.Run(t.Context(), ex, sample); !errors.Is(err, executor.ErrNotRunning) {
		t.Errorf("after Stop: %v", err)
	}
	if err := ex.Start(t.Context()); err == nil {
		t.Error("it started after Stop")
	}
	if err := executor.New(nil).Stop(t.Context()); err != nil {
		t.Errorf("Stop without Start: %v", err)
	}
}

func TestExecutor_StopDrains(t *testing.T) {
	ex := start(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 2)
	begun := make(chan none)
	go func() {
		_, err := finishes.RunWith(ctx, ex, none{},
			&executor.CallOptions{Progress: func(jsontext.Value) { close(begun) }})
		result <- err
	}()
	<-begun
	go func() {
		_, err := echo.Run(t.Context(), ex, sample) // queues behind it
		result <- err
	}()
	eventually(t, "a call in the queue", func() bool { return ex.Stats().Process.Queued == 1 })
	stopped := make(chan error)
	go func() { stopped <- ex.Stop(context.Background()) }()
	eventually(t, "no more calls taken", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := echo.Run(ctx, ex, sample)
		return errors.Is(err, executor.ErrNotRunning)
	})
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-result; err != nil {
			t.Errorf("a call was not drained: %v", err)
		}
	}
}

func TestExecutor_StopKillsWhatDoesNotEnd(t *testing.T) {
	ex := executor.New(&executor.Options{
		Workers: 1, Env: noRaceSleep, Stderr: io.Discard,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err := ex.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	result := make(chan error, 3)
	begun := make(chan int)
	go func() {
		_, err := loops.RunWith(t.Context(), ex, true,
			&executor.CallOptions{Progress: func(v jsontext.Value) {
				worker, _ := strconv.Atoi(string(v))
				begun <- worker
			}})
		result <- err
	}()
	worker := <-begun
	go func() {
		_, err := echo.Run(t.Context(), ex, sample)
		result <- err
	}()
	release := make(chan none)
	go func() {
		_, err := executor.RunBlocking(t.Context(), ex, func(context.Context) (none, error) {
			<-release
			return none{}, nil
		})
		result <- err
	}()
	eventually(t, "all three calls under way", func() bool {
		s := ex.Stats()
		return s.Process.Queued == 1 && s.Blocking[""].Running == 1
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ex.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop: %v", err)
	}
	for range 3 {
		if err := <-result; !errors.Is(err, executor.ErrNotRunning) {
			t.Errorf("call: %v", err)
		}
	}
	if alive(worker) {
		t.Error("a worker outlived Stop")
	}
	close(release)
	eventually(t, "the blocking call gone",
		func() bool { return ex.Stats().Blocking[""].Running == 0 })
}

func TestExecutor_StartStopUnderLoad(t *testing.T) {
	for range 10 {
		ex := executor.New(&executor.Options{Workers: 2, Env: noRaceSleep, Stderr: io.Discard})
		if err := ex.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 8)
		for range cap(ended) {
			go func() {
				for {
					if _, err := echo.Run(t.Context(), ex, sample); err != nil {
						ended <- err
						return
					}
				}
			}()
		}
		eventually(t, "calls done", func() bool { return ex.Stats().Process.Done > 20 })
		if err := ex.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		for range cap(ended) {
			if err := <-ended; !errors.Is(err, executor.ErrNotRunning) {
				t.Errorf("%v", err)
			}
		}
	}
}

// parent is the life of a process that is killed: it has workers that idle, compute and are
// stopped, and prints their numbers.
func parent() {
	ex := executor.New(&executor.Options{Workers: 4, Procs: 1, Stderr: io.Discard})
	if err := ex.Start(context.Background()); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	pids := make(chan string)
	for range 2 {
		go func() {
			_, _ = loops.RunWith(context.Background(), ex, true,
				&executor.CallOptions{Progress: func(v jsontext.Value) { pids <- string(v) }})
		}()
	}
	go func() {
		_, _ = child.RunWith(context.Background(), ex, none{},
			&executor.CallOptions{Progress: func(v jsontext.Value) { pids <- string(v) }})
	}()
	for range 3 {
		fmt.Println(<-pids)
	}
	idle, err := pid.Run(context.Background(), ex, none{})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(idle)
	fmt.Println("ready")
	select {}
}

func TestWorker_DiesWithItsParent(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), role+"=parent")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []int
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "ready"; {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Fatal(lines.Text())
		}
		pids = append(pids, n)
	}
	if len(pids) != 4 {
		t.Fatalf("processes %v", pids)
	}
	_ = syscall.Kill(pids[0], syscall.SIGSTOP) // one that can run no code of its own
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all gone with their parent",
		func() bool { return !slices.ContainsFunc(pids, alive) })
	_ = cmd.Wait()
}
