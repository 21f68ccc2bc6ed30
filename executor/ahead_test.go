//go:build linux

package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/executor"
)

// entry is a call that leaves a trace in a file.
type entry struct {
	File string `json:"file"`
	ID   int    `json:"id"`
	Exit bool   `json:"exit"`
}

// mark appends its ID to a file, and ends its process if it is told to.
var mark = executor.NewFunc("mark", func(_ context.Context, e entry) (int, error) {
	f, err := os.OpenFile(e.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Fprintln(f, e.ID)
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if e.Exit {
		os.Exit(9)
	}
	return e.ID, nil
})

// traces says how often each ID is in the file.
func traces(t *testing.T, file string) map[int]int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	times := map[int]int{}
	for _, line := range bytes.Fields(b) {
		n, err := strconv.Atoi(string(line))
		if err != nil {
			t.Fatal(err)
		}
		times[n]++
	}
	return times
}

// quicken makes all workers quick: calls then may wait in their pipes.
func quicken(t *testing.T, ex *executor.Executor) {
	t.Helper()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, err := pid.RunWith(t.Context(), ex, none{},
					&executor.CallOptions{Wait: true}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// occupy runs a call in a worker until the test or release ends it, and returns the worker's
// number.
func occupy(t *testing.T, ex *executor.Executor) (worker int, ended <-chan error, release func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	begun, result := make(chan int, 1), make(chan error, 1)
	go func() {
		_, err := waits.RunWith(ctx, ex, none{},
			&executor.CallOptions{Progress: func(v jsontext.Value) {
				n, _ := strconv.Atoi(string(v))
				begun <- n
			}})
		result <- err
	}()
	select {
	case worker = <-begun:
	case err := <-result:
		t.Fatal(err)
	}
	return worker, result, cancel
}

// behind starts n calls that leave traces, and waits until all of them queue.
func behind(t *testing.T, ctx context.Context, ex *executor.Executor, file string,
	n int,
) (ended <-chan error) {
	t.Helper()
	results := make(chan error, n)
	before := ex.Stats().Process.Queued
	for i := range n {
		go func() {
			got, err := mark.Run(ctx, ex, entry{File: file, ID: i})
			if err == nil && got != i {
				err = fmt.Errorf("call %d got the answer of %d", i, got)
			}
			results <- err
		}()
	}
	eventually(t, "calls queued", func() bool { return ex.Stats().Process.Queued == before+n })
	return results
}

// TestAhead_ACrashEndsOneCall has many callers whose calls wait in pipes, and some that end their
// worker: each ends its own call only, and no function is called twice.
func TestAhead_ACrashEndsOneCall(t *testing.T) {
	ex := start(t, &executor.Options{Workers: 2, Spares: 2})
	quicken(t, ex)
	file := filepath.Join(t.TempDir(), "traces")
	const callers, each = 32, 60
	var crashes atomic.Int64
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for n := range each {
				id, exit := c*each+n, (c+n)%40 == 0
				got, err := mark.Run(t.Context(), ex, entry{file, id, exit})
				var crash *executor.CrashError
				switch {
				case exit && errors.As(err, &crash) && crash.Kind == executor.CrashExit &&
					crash.ExitCode == 9:
					crashes.Add(1)
				case exit || err != nil || got != id:
					t.Errorf("call %d, which exits: %v: %d, %v", id, exit, got, err)
				}
			}
		})
	}
	wg.Wait()
	times := traces(t, file)
	for id := range callers * each {
		if times[id] != 1 {
			t.Errorf("call %d ran %d times", id, times[id])
		}
	}
	if s := ex.Stats().Process; crashes.Load() < 20 || s.Queued != 0 || s.Running != 0 ||
		int64(s.Failed) != crashes.Load() {
		t.Errorf("%d crashes: %+v", crashes.Load(), s)
	}
}

// TestAhead_WhatHasNotBegunGoesToAnotherWorker: the worker is killed while calls wait in its pipe.
func TestAhead_WhatHasNotBegunGoesToAnotherWorker(t *testing.T) {
	ex := start(t, &executor.Options{Workers: 1, Spares: 1, CancelGrace: time.Minute})
	for range 10 {
		quicken(t, ex)
		file := filepath.Join(t.TempDir(), "traces")
		worker, ended, _ := occupy(t, ex)
		waiting := behind(t, t.Context(), ex, file, 20) // more than fit into a pipe
		if err := syscall.Kill(worker, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, executor.ErrWorkerCrashed) {
			t.Errorf("the call that ran: %v", err)
		}
		for range 20 {
			if err := <-waiting; err != nil {
				t.Errorf("a call that had not begun: %v", err)
			}
		}
		for id, n := range traces(t, file) {
			if n != 1 {
				t.Errorf("call %d ran %d times", id, n)
			}
		}
	}
}

// TestAhead_ALongCallHoldsUpNobody: what waits behind it goes to a worker that is free.
func TestAhead_ALongCallHoldsUpNobody(t *testing.T) {
	ex := start(t, &executor.Options{Workers: 2, Spares: -1, CancelGrace: time.Minute})
	quicken(t, ex)
	file := filepath.Join(t.TempDir(), "traces")
	_, long, _ := occupy(t, ex)
	_, short, release := occupy(t, ex)
	waiting := behind(t, t.Context(), ex, file, 25)
	release()
	if err := <-short; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for range 25 {
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	}
	if n := len(traces(t, file)); n != 25 || len(long) != 0 {
		t.Errorf("%d calls, and the long one has ended: %v", n, len(long) != 0)
	}
}

// TestAhead_ALongCallIsNotKilledForOneBehindIt: the context of a call that waits in the pipe ends.
func TestAhead_ALongCallIsNotKilledForOneBehindIt(t *testing.T) {
	ex := start(t, &executor.Options{Workers: 1, Spares: -1})
	quicken(t, ex)
	file := filepath.Join(t.TempDir(), "traces")
	worker, ended, release := occupy(t, ex)
	for range 5 { // their frames stay in the pipe
		ctx, cancel := context.WithCancel(t.Context())
		waiting := behind(t, ctx, ex, file, 12)
		cancel()
		for range 12 {
			if err := <-waiting; !errors.Is(err, context.Canceled) {
				t.Errorf("a call that had not begun: %v", err)
			}
		}
	}
	if s := ex.Stats().Process; s.Queued != 0 || s.Running != 1 || s.Killed != 0 ||
		len(ended) != 0 {
		t.Errorf("%+v", s)
	}
	waiting := behind(t, t.Context(), ex, file, 3)
	release()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for range 3 {
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	}
	if times := traces(t, file); len(times) != 3 || times[0] != 1 {
		t.Errorf("withdrawn calls ran: %v", times)
	}
	if after, err := pid.Run(t.Context(), ex, none{}); err != nil || after != worker {
		t.Errorf("worker %d became %d, %v", worker, after, err)
	}
}

func TestAhead_CountsAsQueued(t *testing.T) {
	ex := start(t,
		&executor.Options{Workers: 1, Spares: -1, Queue: 2, KeyLimit: 1, CancelGrace: time.Minute})
	quicken(t, ex)
	file := filepath.Join(t.TempDir(), "traces")
	_, _, release := occupy(t, ex)
	waiting := behind(t, t.Context(), ex, file, 2)
	if _, err := pid.Run(t.Context(), ex, none{}); !errors.Is(err, executor.ErrOverloaded) {
		t.Errorf("a queue of two took a third: %v", err)
	}
	if s := ex.Stats().Process; s.Running != 1 || s.Queued != 2 {
		t.Errorf("%+v", s)
	}
	release()
	for range 2 {
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	}
	ex = start(t, &executor.Options{Workers: 1, Spares: -1, Queue: -1, CancelGrace: time.Minute})
	quicken(t, ex)
	_, _, release = occupy(t, ex)
	if _, err := pid.Run(t.Context(), ex, none{}); !errors.Is(err, executor.ErrOverloaded) {
		t.Errorf("without a queue one waited: %v", err)
	}
	release()
}

func TestAhead_StopEndsWhatWaits(t *testing.T) {
	ex := executor.New(&executor.Options{Workers: 1, Spares: -1, Env: noRaceSleep, Logger: quiet})
	if err := ex.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	quicken(t, ex)
	file := filepath.Join(t.TempDir(), "traces")
	_, ended, _ := occupy(t, ex)
	waiting := behind(t, t.Context(), ex, file, 20)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := ex.Stop(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Stop: %v", err)
	}
	for range 20 {
		if err := <-waiting; !errors.Is(err, executor.ErrNotRunning) {
			t.Errorf("%v", err)
		}
	}
	if err := <-ended; !errors.Is(err, executor.ErrNotRunning) {
		t.Errorf("%v", err)
	}
	if times := traces(t, file); len(times) != 0 {
		t.Errorf("%v", times)
	}
}
