package executor

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/executor/internal/frame"
	"github.com/genropy/genro-asgi-go/executor/internal/proc"
	"github.com/genropy/genro-asgi-go/executor/internal/shared"
	"github.com/genropy/genro-asgi-go/executor/internal/stderr"
)

// reportGrace is how long the standard error of a dead worker is read on: a process that left its
// group may keep it open. On a loaded machine the goroutine that reads it may be late.
const reportGrace = 250 * time.Millisecond

// process is one worker process, as its owner in the pool and the calls in it see it.
type process struct {
	pool      *pool
	cmd       *exec.Cmd
	pid       int
	group     processGroup
	files     []*os.File    // this side's ends of the pipes, without standard error
	in        *frame.Writer // calls
	control   *frame.Writer // cancels
	alive     *os.File      // its end is the end of the process
	smallPipe bool          // the pipe of calls holds less than pipeMin
	shared    *shared.Side
	pending   pendingCalls
	answers   *answers
	stderr    *stderr.Tail
	errors    *os.File    // the standard error, read by stderr
	retired   atomic.Bool // told to exit

	load // guarded by pool.mu
}

// load is what the pool notes of a worker that gets calls.
type load struct {
	running, calls int           // calls in it now, and ever
	gone           bool          // it takes no calls any more
	retiring       bool          // because it has served long enough
	takesAhead     bool          // calls may wait in its pipe
	sizeDue        bool          // its size is to be looked at when it has no call
	sizedAt        time.Duration // when that was done last, on clock
}

// close is for when nothing is read from the worker any more.
func (w *process) close() {
	closeAll(w.files)
	w.shared.Close()
	w.shared.Release()
}

// awaitDeath returns when the process has died, or at least closed the pipe that says so.
func (w *process) awaitDeath() {
	var b [1]byte
	for {
		if _, err := w.alive.Read(b[:]); err != nil {
			return
		}
	}
}

// retire lets the worker, which has no calls, exit.
func (w *process) retire() {
	if w.retired.CompareAndSwap(false, true) {
		_ = w.files[0].Close()
		time.AfterFunc(stopGrace, w.group.kill) // does nothing once it is dead
	}
}

// reap ends what is left of the worker's process group, awaits the worker and says whether this
// executor has ended it.
func (w *process) reap() (killed bool) {
	w.pending.close()
	killed = w.group.markDead()
	_ = w.cmd.Wait() // the state tells all
	timer := time.NewTimer(reportGrace)
	defer timer.Stop()
	select {
	case <-w.stderr.Done():
	case <-timer.C:
		_ = w.errors.Close() // a daemon of the worker's holds the other end
	}
	w.pool.mu.Lock()
	delete(w.pool.processes, w)
	w.pool.mu.Unlock()
	if w.pool.adopts && proc.ReapOrphans(w.pid) {
		w.pool.owners.Go(func() { proc.ReapAll(w.pid, lastGrace) })
	}
	return killed
}

// crash says how the dead worker ended, with what it printed from a place in its standard error on.
func (w *process) crash(killed bool, from uint64) *CrashError {
	status, report := proc.StatusOf(w.cmd.ProcessState), w.stderr.Report(from)
	death := stderr.Explain(status, report)
	crash := &CrashError{
		PID: w.pid, Kind: CrashKind(death.Kind), Signal: death.Signal, ExitCode: status.Code,
		Reason: death.Reason, Stderr: report.Text,
	}
	if killed {
		crash.Kind = CrashKilled
	}
	return crash
}

// death is a crash with the context of a call that it ended, for the log.
type death struct {
	crash *CrashError
	ctx   context.Context
}

// endCalls ends all calls in the dead worker with its crash, but those whose answer is still in the
// pipe, and those that have not begun, which go to another worker. It returns the crash as it is
// for the log, of a call that it ended, if there was one.
func (w *process) endCalls(killed bool) (end death) {
	w.answers.reading <- struct{}{}
	for {
		if err := w.answers.receive(); err != nil && !errors.Is(err, errWoken) {
			break
		}
	}
	<-w.answers.reading
	for _, c := range w.pending.takeAll() {
		if w.shared.Withdraw(c.slot) {
			c.finish(moved)
			continue
		}
		e := w.crash(killed, w.shared.Mark(c.slot))
		if e.Func = c.name; e.Reason == "" {
			e.Reason = w.group.fault()
		}
		c.crash, end = e, death{e, c.ctx}
		c.finish(0) // c is not ours any more
	}
	if end.crash == nil {
		end = death{w.crash(killed, 0), context.Background()}
	}
	w.close()
	return end
}
