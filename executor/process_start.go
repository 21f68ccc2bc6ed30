package executor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/executor/internal/frame"
	"github.com/genropy/genro-asgi-go/executor/internal/proc"
	"github.com/genropy/genro-asgi-go/executor/internal/shared"
	"github.com/genropy/genro-asgi-go/executor/internal/stderr"
)

// baseEnv are the variables a worker gets.
var baseEnv = [...]string{"PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL"}

// spawn starts a process and awaits its greeting.
func (p *pool) spawn() (*process, error) {
	w := &process{
		pool: p, stderr: stderr.NewTail(p.output),
	}
	theirs, ours, err := makePipes()
	if err != nil {
		return nil, &StartError{
			Reason: "no pipe: is the limit of open files too low?", Err: err,
		}
	}
	with, more, err := shared.New(p.dir)
	if err != nil {
		closeAll(theirs[:], ours[:])
		return nil, &StartError{Reason: "nothing to share with the worker", Err: err}
	}
	w.shared = with
	err = w.startProcess(append(theirs[:proc.Pipes:proc.Pipes], more...), theirs[proc.Pipes])
	closeAll(theirs[:], more)
	if err != nil {
		closeAll(ours[:])
		with.Close()
		with.Release()
		return nil, &StartError{Reason: "the process did not start", Err: err}
	}
	w.pid, w.group.first = w.cmd.Process.Pid, w.cmd.Process
	w.files = ours[:proc.Pipes]
	w.in, w.control = frame.NewWriter(ours[0]), frame.NewWriter(ours[2])
	w.alive, w.errors = ours[4], ours[5]
	w.pending.shared, w.pending.byID = with, make(map[uint64]*call)
	w.pending.startReader = func() { p.owners.Go(w.readForAll) }
	w.answers = newAnswers(ours[1], &w.pending)
	w.smallPipe = proc.PipeSize(w.files[0]) < pipeMin
	with.Retain()
	p.owners.Go(func() {
		w.stderr.CopyFrom(func(buf []byte) (int, error) { return with.ReadErrors(w.errors, buf) })
		_ = w.errors.Close() // only read from
		with.Release()
	})
	p.mu.Lock()
	p.processes[w] = struct{}{}
	stopping := p.stopping
	p.mu.Unlock()
	if stopping { // stop did not see it
		w.group.kill()
	}
	if err := w.greet(); err != nil {
		w.group.kill()
		w.reap()
		w.close()
		err.Stderr = w.stderr.Report(0).Text
		return nil, err
	}
	return w, nil
}

// startProcess starts the program again, and once more, from a copy, if it may not be.
func (w *process) startProcess(inherited []*os.File, stderrEnd *os.File) (err error) {
	for {
		path, pathErr := w.pool.program.Path(err)
		if pathErr != nil {
			return pathErr
		}
		again := err != nil
		w.cmd = exec.CommandContext(context.Background(), path)
		// for those who look at a list of processes
		w.cmd.Args = []string{os.Args[0], "executor-worker"}
		w.cmd.Stdout, w.cmd.Stderr = stderrEnd, stderrEnd
		numbers, passErr := proc.PassFiles(w.cmd, inherited)
		if passErr != nil {
			return passErr
		}
		w.cmd.Env = w.pool.environment(numbers)
		if err = w.cmd.Start(); err == nil || again {
			return err
		}
	}
}

// makePipes makes the ends of both sides: of calls, answers, control, life, alive and standard
// error.
func makePipes() (theirs, ours [proc.Pipes + 1]*os.File, err error) {
	for i := range theirs {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(theirs[:i], ours[:i])
			return theirs, ours, err
		}
		if theirs[i], ours[i] = r, w; i == 1 || i > 3 {
			theirs[i], ours[i] = w, r
		}
	}
	return theirs, ours, nil
}

func (p *pool) environment(numbers []uintptr) []string {
	o := p.opts
	env := []string{
		fmt.Sprintf("%s=%d %d %s", marker, protocol, max(o.CallsPerWorker, 1),
			strings.Trim(fmt.Sprint(numbers), "[]")),
		"GOMAXPROCS=" + strconv.Itoa(max(o.Procs, 1)),
	}
	for _, entry := range slices.Concat(proc.Env, baseEnv[:], o.Env) {
		if strings.Contains(entry, "=") {
			env = append(env, entry)
		} else if value, ok := os.LookupEnv(entry); ok {
			env = append(env, entry+"="+value)
		}
	}
	return env
}

// greet says what the worker needs to know and checks that it is a worker of this same program.
func (w *process) greet() *StartError {
	o := w.pool.opts
	body, err := json.Marshal(hello{
		Protocol: protocol, Build: w.pool.build, Dir: w.pool.dir,
		MemoryLimit: o.MemoryLimit, MaxPayload: o.MaxPayload,
	})
	if err != nil {
		return &StartError{Reason: "greeting", Err: err}
	}
	late := atomic.Bool{}
	timer := time.AfterFunc(o.StartTimeout, func() {
		late.Store(true)
		w.group.kill()
	})
	defer timer.Stop()
	const missing = ": does main (in tests TestMain) call executor.Main() before anything else?"
	err = w.in.Write(frame.New(frame.Hello, 0, body), false)
	var t frame.Type
	if err == nil {
		t, _, body, err = frame.Read(w.answers.in, nil)
	}
	if err != nil && late.Load() {
		return &StartError{
			Reason: fmt.Sprintf("no answer within Options.StartTimeout, %v", o.StartTimeout) +
				missing, Err: err,
		}
	} else if err != nil {
		return &StartError{Reason: "it ended without an answer" + missing, Err: err}
	}
	var answer welcome
	if err := json.Unmarshal(body, &answer); err != nil || t != frame.Hello {
		return &StartError{Reason: "bad answer", Err: errors.Join(err, frame.ErrMalformed)}
	}
	switch {
	case answer.Protocol != protocol || answer.Build != w.pool.build:
		return &StartError{
			Reason: "the program's file was replaced by another build: restart this process",
		}
	case answer.Error != "":
		return &StartError{Reason: answer.Error}
	}
	return nil
}

func closeAll(lists ...[]*os.File) {
	for _, list := range lists {
		for _, f := range list {
			_ = f.Close() // pipes: nothing is buffered
		}
	}
}
