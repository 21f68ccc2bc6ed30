package memstore

import (
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// entry is a task in the memory store, and its place there. It holds what Task does in less than
// half the space, as the store's memory is what a task costs most: every fresh page of it is
// cleared, mapped and later marked (BenchmarkEntry). The Task is made when somebody asks for it.
type entry struct {
	id       string
	kind     *kindIndex // name, version and queue
	payload  []byte
	result   []byte
	details  *details  // nil when all of it is zero
	hold     *hold     // while it is running
	subqueue *subqueue // while it waits and was due when a claim last looked
	sec      [stamps]int64
	ns       [stamps]int32
	attempt  int
	fence    uint64
	revision uint64
	seq      uint64
	position uint64
	at       int32 // its index in subqueue.fifo, subqueue.late, kindIndex.future or Store.running
	state    uint8 // index of states
	late     bool  // in subqueue.late, not in subqueue.fifo
}

// The times of an entry.
const (
	created = iota
	runAt
	started
	finished
	stamps
)

// hold is by whom a task is held, and how long.
type hold struct {
	owner string
	until time.Time
}

// details is what few tasks have.
type details struct {
	priority   int
	key        string
	metadata   map[string]string
	unique     *tasks.Unique
	retry      tasks.RetryPolicy
	timeout    time.Duration
	delay      time.Duration
	deaths     int
	progress   *tasks.Progress
	checkpoint []byte
	err        *tasks.TaskError
}

// load makes t a copy of the task.
func (e *entry) load(t *tasks.Task) {
	*t = tasks.Task{
		ID: e.id, Kind: e.kind.name, Version: e.kind.version, Queue: e.kind.q.name,
		Payload: e.payload, Result: e.result,
		State: states[e.state], Created: e.time(created), RunAt: e.time(runAt),
		Started: e.time(started), Finished: e.time(finished),
		Attempt: e.attempt, Fence: e.fence, Revision: e.revision, Seq: e.seq, Position: e.position,
	}
	if h := e.hold; h != nil {
		t.Owner, t.LeaseUntil = h.owner, h.until
	}
	if m := e.details; m != nil {
		t.Priority, t.Key, t.Metadata, t.Unique, t.Retry, t.Timeout = m.priority, m.key, m.metadata,
			m.unique, m.retry, m.timeout
		t.Delay = m.delay
		t.Deaths, t.Progress, t.Checkpoint, t.Error = m.deaths, m.progress, m.checkpoint, m.err
	}
}

// task is a copy of the task.
func (e *entry) task() *tasks.Task {
	t := new(tasks.Task)
	e.load(t)
	return t
}

// set makes e what t is, but for its kind.
func (e *entry) set(t *tasks.Task) {
	e.id, e.payload, e.result = t.ID, t.Payload, t.Result
	e.state, e.attempt, e.fence, e.revision, e.seq, e.position = uint8(indexOf(t.State)), t.Attempt,
		t.Fence, t.Revision, t.Seq, t.Position
	e.setTime(created, t.Created)
	e.setTime(runAt, t.RunAt)
	e.setTime(started, t.Started)
	e.setTime(finished, t.Finished)
	switch h := e.hold; {
	case t.Owner == "" && t.LeaseUntil.IsZero():
		e.hold = nil
	case h == nil || h.owner != t.Owner || !h.until.Equal(t.LeaseUntil):
		e.hold = &hold{t.Owner, t.LeaseUntil.UTC()}
	}
	switch {
	case t.Priority == 0 && t.Key == "" && len(t.Metadata) == 0 && t.Unique == nil &&
		t.Retry == tasks.RetryPolicy{} && t.Timeout == 0 && t.Delay == 0 &&
		t.Deaths == 0 && t.Progress == nil && len(t.Checkpoint) == 0 && t.Error == nil:
		e.details = nil
		return
	case e.details == nil:
		e.details = new(details)
	}
	*e.details = details{
		t.Priority, t.Key, t.Metadata, t.Unique, t.Retry, t.Timeout, t.Delay,
		t.Deaths, t.Progress, t.Checkpoint, t.Error,
	}
}

func (e *entry) time(of int) time.Time { return time.Unix(e.sec[of], int64(e.ns[of])).UTC() }

func (e *entry) setTime(of int, t time.Time) {
	e.sec[of], e.ns[of] = t.Unix(), int32(t.Nanosecond())
}

func (e *entry) unique() *tasks.Unique {
	if e.details == nil {
		return nil
	}
	return e.details.unique
}

// holds reports whether the task holds its unique key at now.
func (e *entry) holds(now time.Time) bool {
	u := e.unique()
	if u == nil {
		return false
	}
	t := tasks.Task{State: states[e.state], Fence: e.fence, Unique: u}
	return t.Holds(now)
}

// due reports whether a waiting task may be claimed at now: one that waits for a place has no time
// to wait for.
func (e *entry) due(now time.Time) bool {
	return states[e.state] == tasks.Queued || !e.time(runAt).After(now)
}

// subqueueKey is that of the subqueue the task belongs to when it is due.
func (e *entry) subqueueKey() subqueueKey {
	if e.details == nil {
		return subqueueKey{}
	}
	return subqueueKey{e.details.key, e.details.priority, e.details.deaths > 0}
}

// place is where a task stands among those of one priority, and those that wait for their time.
type place struct {
	sec int64
	ns  int32
	seq uint64
}

func (e *entry) place() place { return place{e.sec[runAt], e.ns[runAt], e.seq} }

func (p place) before(o place) bool {
	switch {
	case p.sec != o.sec:
		return p.sec < o.sec
	case p.ns != o.ns:
		return p.ns < o.ns
	}
	return p.seq < o.seq
}

func (e *entry) before(o *entry) bool { return e.place().before(o.place()) }
func (e *entry) moved(at int) {
	e.at = int32(at)
}

// states are all that there are. An entry has the index of its own.
var states = [...]tasks.State{
	tasks.Scheduled, tasks.Queued, tasks.Running, tasks.Retrying,
	tasks.Succeeded, tasks.Failed, tasks.Cancelled, tasks.Dead,
}

// indexOf is a state's place in states, -1 when it is none of them.
func indexOf(s tasks.State) int {
	switch s {
	case tasks.Scheduled:
		return 0
	case tasks.Queued:
		return 1
	case tasks.Running:
		return 2
	case tasks.Retrying:
		return 3
	case tasks.Succeeded:
		return 4
	case tasks.Failed:
		return 5
	case tasks.Cancelled:
		return 6
	case tasks.Dead:
		return 7
	}
	return -1
}
