package executor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
)

// baseEnv are the variables a worker gets.
var baseEnv = [...]string{"PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL"}

// reportGrace is how long the standard error of a dead worker is read on: a process that left its group may keep it open.
const reportGrace = 20 * time.Millisecond

// process is one worker process, as its owner in the pool and the calls in it see it.
type process struct {
	pool    *pool
	cmd     *exec.Cmd
	pid     int
	in      pipeWriter // calls
	control pipeWriter // cancels and releases
	files   [4]*os.File
	out     *bufio.Reader
	stderr  *stderrTail
	errors  *os.File    // the standard error, read by stderr
	retired atomic.Bool // told to exit

	// Guarded by pool.mu.
	running, calls int           // calls in it now, and ever
	gone, tired    bool          // takes no calls any more; because it has served long enough
	sized          time.Duration // when its size was last looked at, on clock

	mu      sync.Mutex
	pending map[uint64]*call
	latest  uint64
	dead    bool // nothing is sent or signalled any more
	killing bool // this executor is ending it
}

// spawn starts a process and awaits its greeting.
func (p *pool) spawn() (*process, error) {
	path, err := executable()
	if err != nil {
		return nil, &StartError{Reason: "the program's path is unknown", Err: err}
	}
	w := &process{
		pool: p, cmd: exec.CommandContext(context.Background(), path), pending: make(map[uint64]*call),
		stderr: &stderrTail{through: p.opts.Stderr, done: make(chan struct{})},
	}
	var theirs [5]*os.File // calls, answers, control, life, standard error
	var ours [5]*os.File
	for i := range theirs {
		r, wr, err := os.Pipe()
		if err != nil {
			closeAll(theirs[:i], ours[:i])
			return nil, &StartError{Reason: "no pipe", Err: err}
		}
		if theirs[i], ours[i] = r, wr; i == 1 || i == 4 {
			theirs[i], ours[i] = wr, r
		}
	}
	err = w.startProcess(theirs)
	closeAll(theirs[:])
	if err != nil {
		closeAll(ours[:])
		return nil, &StartError{Reason: "the process did not start", Err: err}
	}
	w.pid = w.cmd.Process.Pid
	w.files = [4]*os.File(ours[:4])
	w.in.w, w.control.w, w.out = ours[0], ours[2], bufio.NewReaderSize(ours[1], 64<<10)
	w.errors = ours[4]
	p.owners.Go(func() {
		w.stderr.copyFrom(w.errors)
		_ = w.errors.Close() // only read from
	})
	p.mu.Lock()
	p.all[w] = struct{}{}
	stopping := p.stopping
	p.mu.Unlock()
	if stopping { // stop did not see it
		w.kill()
	}
	if err := w.greet(); err != nil {
		w.kill()
		w.reap()
		err.Stderr, _, _ = w.stderr.report()
		return nil, err
	}
	return w, nil
}

func closeAll(lists ...[]*os.File) {
	for _, list := range lists {
		for _, f := range list {
			_ = f.Close() // pipes: nothing is buffered
		}
	}
}

func (w *process) startProcess(theirs [5]*os.File) error {
	w.cmd.Args = []string{os.Args[0], "executor-worker"} // for those who look at a list of processes
	w.cmd.Stdout, w.cmd.Stderr = theirs[4], theirs[4]
	numbers, err := passPipes(w.cmd, [4]*os.File(theirs[:4]))
	if err != nil {
		return err
	}
	w.cmd.Env = w.pool.environment(numbers)
	return w.cmd.Start()
}

func (p *pool) environment(numbers [4]uintptr) []string {
	o := p.opts
	env := []string{
		fmt.Sprintf("%s=%d %d %d %d %d %d", marker, protocol, max(o.CallsPerWorker, 1), numbers[0], numbers[1], numbers[2], numbers[3]),
		"GOMAXPROCS=" + strconv.Itoa(max(o.Procs, 1)),
	}
	for _, entry := range slices.Concat(platformEnv, baseEnv[:], o.Env) {
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
	level := slog.LevelDebug
	for level < slog.LevelError && !o.Logger.Enabled(context.Background(), level) {
		level += 4
	}
	body, err := json.Marshal(hello{
		Protocol: protocol, Build: w.pool.build, PID: os.Getpid(), Dir: w.pool.files.dir,
		MemoryLimit: o.MemoryLimit, MaxPayload: o.MaxPayload, LogLevel: int(level),
	})
	if err != nil {
		return &StartError{Reason: "greeting", Err: err}
	}
	late := atomic.Bool{}
	timer := time.AfterFunc(o.StartTimeout, func() {
		late.Store(true)
		w.kill()
	})
	defer timer.Stop()
	const missing = ": does main (in tests TestMain) call executor.Main() before anything else?"
	err = w.in.write(appendFrame(nil, frameHello, 0, body))
	var t frameType
	if err == nil {
		t, _, body, err = readFrame(w.out, nil)
	}
	if err != nil && late.Load() {
		return &StartError{Reason: fmt.Sprintf("no answer within %v", o.StartTimeout) + missing, Err: err}
	} else if err != nil {
		return &StartError{Reason: "it ended without an answer" + missing, Err: err}
	}
	var answer welcome
	if err := json.Unmarshal(body, &answer); err != nil || t != frameHello {
		return &StartError{Reason: "bad answer", Err: errors.Join(err, errFrame)}
	}
	switch {
	case answer.Protocol != protocol || answer.Build != w.pool.build:
		return &StartError{Reason: "the program's file was replaced by another build: restart this process"}
	case answer.Error != "":
		return &StartError{Reason: answer.Error}
	}
	return nil
}

// read hands answers to their calls until the worker's pipe ends. A worker that breaks the protocol is killed.
func (w *process) read() {
	var buf []byte
	for {
		t, id, payload, err := readFrame(w.out, buf)
		if err != nil {
			return
		}
		w.mu.Lock()
		c := w.pending[id]
		if c == nil { // given up
			w.mu.Unlock()
			buf = payload
			continue
		}
		switch t {
		case frameResult, frameFailure, framePanic:
			delete(w.pending, id)
			c.kind = t
			c.answer, buf = payload, c.answer // no copy: the buffers change places
			w.mu.Unlock()
			c.done <- struct{}{}
		case frameProgress:
			c.notify(payload)
			w.mu.Unlock()
			buf = payload
		case frameLog:
			logger := c.logger
			w.mu.Unlock()
			buf = payload
			w.log(logger, payload)
		default:
			w.mu.Unlock()
			return
		}
	}
}

// log replays a record of the worker.
func (w *process) log(logger *slog.Logger, payload []byte) {
	var in logRecord
	if err := json.Unmarshal(payload, &in, allowInvalid); err != nil || !logger.Enabled(context.Background(), slog.Level(in.Level)) {
		return
	}
	r := slog.NewRecord(in.Time, slog.Level(in.Level), in.Message, 0)
	for _, a := range in.Attrs {
		r.AddAttrs(slog.Any(a.Key, a.Value))
	}
	_ = logger.Handler().Handle(context.Background(), r) // as slog.Logger does
}

// begin registers c; false when the worker is dead.
func (w *process) begin(c *call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return false
	}
	w.latest++
	c.id = w.latest
	w.pending[c.id] = c
	return true
}

// giveUp takes c out; false when its answer is on its way to c.done.
func (w *process) giveUp(c *call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pending[c.id] != c {
		return false
	}
	delete(w.pending, c.id)
	return true
}

// terminate asks the worker's whole process group to end.
func (w *process) terminate() { w.signal(terminate) }

// kill ends the worker's whole process group.
func (w *process) kill() { w.signal(kill) }

func (w *process) signal(send func(*os.Process)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.dead {
		w.killing = true
		send(w.cmd.Process)
	}
}

// retire lets the worker, which has no calls, exit.
func (w *process) retire() {
	if w.retired.CompareAndSwap(false, true) {
		_ = w.files[0].Close()
		time.AfterFunc(stopGrace, w.kill) // does nothing once it is dead
	}
}

// reap ends what is left of the worker's process group, awaits the worker and says how it ended.
func (w *process) reap() CrashError {
	w.mu.Lock()
	w.dead = true
	killed := w.killing
	kill(w.cmd.Process) // an exit that has begun keeps its code; before Wait, so that the number is still ours
	w.mu.Unlock()
	_ = w.cmd.Wait() // the state tells all
	closeAll(w.files[:])
	timer := time.NewTimer(reportGrace)
	defer timer.Stop()
	select {
	case <-w.stderr.done:
	case <-timer.C:
		_ = w.errors.Close() // a daemon of the worker's holds the other end
	}
	w.pool.mu.Lock()
	delete(w.pool.all, w)
	w.pool.mu.Unlock()
	tail, reason, signal := w.stderr.report()
	crash := classify(statusOf(w.cmd.ProcessState), tail, reason, signal)
	crash.PID = w.pid
	if killed {
		crash.Kind = CrashKilled
	}
	return crash
}

// fail ends all calls in the worker with its crash.
func (w *process) fail(crash CrashError) {
	w.mu.Lock()
	pending := w.pending
	w.pending = nil
	w.mu.Unlock()
	for _, c := range pending {
		e := crash
		e.Func = c.name
		c.crash = &e
		c.done <- struct{}{}
	}
}
