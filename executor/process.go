package executor

import (
	"bufio"
	"context"
	"encoding/binary"
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
	"github.com/go-json-experiment/json/jsontext"
)

// baseEnv are the variables a worker gets.
var baseEnv = [...]string{"PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL"}

// reportGrace is how long the standard error of a dead worker is read on: a process that left its group may keep it open.
const reportGrace = 20 * time.Millisecond

// process is one worker process, as its owner in the pool and the calls in it see it.
type process struct {
	pool      *pool
	cmd       *exec.Cmd
	pid       int
	in        pipeWriter // calls
	control   pipeWriter // cancels and releases
	files     [5]*os.File
	alive     *os.File      // its end is the end of the process
	out       *bufio.Reader // answers; for who has the turn
	answers   *os.File      // beneath out
	answersFD int           // its number, for readable; it is not closed while somebody has the turn
	quick     bool          // the last call was so short that waiting for the next one's answer without the poller pays; as out
	buf       []byte        // for the next frame; as out
	turn      chan struct{} // capacity 1: full while somebody reads from out
	stderr    *stderrTail
	errors    *os.File    // the standard error, read by stderr
	retired   atomic.Bool // told to exit

	// Guarded by pool.mu.
	running, calls int           // calls in it now, and ever
	gone, tired    bool          // takes no calls any more; because it has served long enough
	sized          time.Duration // when its size was last looked at, on clock

	mu      sync.Mutex
	pending map[uint64]*call
	latest  uint64
	dead    bool   // nothing is sent or signalled any more
	killing bool   // this executor is ending it
	broken  string // how it broke the protocol
}

// spawn starts a process and awaits its greeting.
func (p *pool) spawn() (*process, error) {
	path, err := executable()
	if err != nil {
		return nil, &StartError{Reason: "the program's path is unknown", Err: err}
	}
	w := &process{
		pool: p, cmd: exec.CommandContext(context.Background(), path), pending: make(map[uint64]*call), turn: make(chan struct{}, 1),
		stderr: &stderrTail{through: p.opts.Stderr, done: make(chan struct{})},
	}
	var theirs [6]*os.File // calls, answers, control, life, alive, standard error
	var ours [6]*os.File
	for i := range theirs {
		r, wr, err := os.Pipe()
		if err != nil {
			closeAll(theirs[:i], ours[:i])
			return nil, &StartError{Reason: "no pipe", Err: err}
		}
		if theirs[i], ours[i] = r, wr; i == 1 || i > 3 {
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
	w.files = [5]*os.File(ours[:5])
	w.in.w, w.answers, w.control.w, w.alive, w.errors = ours[0], ours[1], ours[2], ours[4], ours[5]
	w.out, w.answersFD = bufio.NewReaderSize(w.answers, 64<<10), numberOf(w.answers)
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
		closeAll(w.files[:])
		err.Stderr, _, _ = w.stderr.report()
		return nil, err
	}
	return w, nil
}

// numberOf is f's descriptor, left as it is; File.Fd would make it blocking.
func numberOf(f *os.File) (number int) {
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { number = int(fd) }) // an error: closed, which it is not
	}
	return number
}

func closeAll(lists ...[]*os.File) {
	for _, list := range lists {
		for _, f := range list {
			_ = f.Close() // pipes: nothing is buffered
		}
	}
}

func (w *process) startProcess(theirs [6]*os.File) error {
	w.cmd.Args = []string{os.Args[0], "executor-worker"} // for those who look at a list of processes
	w.cmd.Stdout, w.cmd.Stderr = theirs[5], theirs[5]
	numbers, err := passPipes(w.cmd, [5]*os.File(theirs[:5]))
	if err != nil {
		return err
	}
	w.cmd.Env = w.pool.environment(numbers)
	return w.cmd.Start()
}

func (p *pool) environment(numbers [5]uintptr) []string {
	o := p.opts
	env := []string{
		fmt.Sprintf("%s=%d %d %s", marker, protocol, max(o.CallsPerWorker, 1), strings.Trim(fmt.Sprint(numbers), "[]")),
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
	body, err := json.Marshal(hello{
		Protocol: protocol, Build: w.pool.build, PID: os.Getpid(), Dir: w.pool.files.dir,
		MemoryLimit: o.MemoryLimit, MaxPayload: o.MaxPayload,
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
	err = w.in.write(newFrame(frameHello, 0, body), false)
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

// live returns when the process has died, or at least closed the pipe that says so.
func (w *process) live() {
	var b [1]byte
	for {
		if _, err := w.alive.Read(b[:]); err != nil {
			return
		}
	}
}

// receive reads one frame and hands it to its call. The caller has the turn.
func (w *process) receive() error {
	t, id, payload, err := readFrame(w.out, w.buf)
	if err != nil {
		return err
	}
	w.buf = payload
	w.mu.Lock()
	c := w.pending[id]
	if c == nil { // given up
		w.mu.Unlock()
		return nil
	}
	switch t {
	case frameResult, frameFailure, framePanic:
		delete(w.pending, id)
		c.kind = t
		c.answer, w.buf = payload, c.answer // no copy: the buffers change places
		w.mu.Unlock()
		c.done <- struct{}{}
		return nil
	case frameProgress:
		c.notify(payload)
		w.mu.Unlock()
		return nil
	case frameLog:
		logger := c.logger
		w.mu.Unlock()
		w.log(logger, payload)
		return nil
	}
	w.mu.Unlock()
	return fmt.Errorf("%w: type %d where an answer is due", errFrame, t)
}

// await returns when c has ended. There is no goroutine that reads from the worker: of the calls that wait one has the turn and reads for all, so that
// with one call at a time its answer comes straight to the goroutine that asked. The end of ctx sets off cancel, in a goroutine of its own.
func (w *process) await(ctx context.Context, c *call, progress func(jsontext.Value)) {
	gone := ctx.Done() // nil once cancel was set off, and if it cannot be
	turn := w.turn     // nil once nothing can be read any more, and the owner will end c
	for {
		select {
		case <-c.done:
			if gone == nil && ctx.Done() != nil { // cancel ends before c is used again
				c.over <- struct{}{}
				<-c.canceled
				select { // it may have gone without
				case <-c.over:
				default:
				}
			}
			for len(c.events) > 0 {
				progress(<-c.events)
			}
			return
		case value := <-c.events:
			progress(value)
		case <-gone:
			gone = nil
			go w.cancel(c)
		case turn <- struct{}{}:
			watched, err := w.lead(ctx, c, gone != nil)
			<-w.turn
			if !watched {
				gone = nil
			}
			if err != nil { // dead already, or it broke the protocol
				w.end()
				w.brokenBy(err)
				turn = nil
			}
		}
	}
}

// lead reads for all until there is something for c. It reports whether ctx may still set off cancel, as watched says it may before.
func (w *process) lead(ctx context.Context, c *call, watched bool) (still bool, err error) {
	var stop func() bool
	for err == nil && len(c.done) == 0 && len(c.events) == 0 {
		if watched && stop == nil && !w.buffered() { // about to wait where ctx is not seen
			stop = context.AfterFunc(ctx, func() { w.cancel(c) })
		}
		err = w.receive()
	}
	return watched && (stop == nil || stop()), err
}

// buffered reports whether receive can do without reading from the pipe.
func (w *process) buffered() bool {
	n := w.out.Buffered()
	if n < frameHead {
		return false
	}
	length, _ := w.out.Peek(4) // it is there
	return n-4 >= int(binary.LittleEndian.Uint32(length))
}

// awaitBriefly waits for c without the poller and without watching for the end of its context. When the worker's last call was a matter of
// microseconds this one mostly is too, and to wake a goroutine by the poller would cost more than the call.
func (w *process) awaitBriefly(c *call) (done bool) {
	w.turn <- struct{}{}
	if readable(w.answersFD, quickWait) {
		if _, err := w.out.Peek(1); err == nil && w.buffered() { // one read; an error comes again to await
			_ = w.receive()
		}
	}
	<-w.turn
	select {
	case <-c.done:
		return true
	default:
		return false
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
	c.others = len(w.pending) > 0
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

// end is kill where the worker is to blame.
func (w *process) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.dead {
		kill(w.cmd.Process)
	}
}

// brokenBy notes why the worker's answers could not be read, if that is its fault.
func (w *process) brokenBy(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == "" && errors.Is(err, errFrame) {
		w.broken = err.Error()
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

// fail ends all calls in the dead worker with its crash, but those whose answer is still in the pipe.
func (w *process) fail(crash CrashError) {
	w.turn <- struct{}{}
	for w.receive() == nil {
	}
	<-w.turn
	closeAll(w.files[:])
	w.mu.Lock()
	pending := w.pending
	w.pending = nil
	if crash.Reason == "" {
		crash.Reason = w.broken
	}
	w.mu.Unlock()
	for _, c := range pending {
		e := crash
		e.Func = c.name
		c.crash = &e
		c.done <- struct{}{}
	}
}
