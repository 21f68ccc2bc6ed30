package tasks

import "time"

// memEntry is a task in the memory store, and its place there. It holds what Task does in less than half the space, as the store's memory is what a
// task costs most: every fresh page of it is cleared, mapped and later marked. The Task is made when somebody asks for it.
type memEntry struct {
	id       string
	kind     *memKind // name, version and queue
	payload  []byte
	result   []byte
	more     *memMore // nil when all of it is zero
	hold     *memHold // while it is running
	lane     *lane    // while it waits and was due when a claim last looked
	sec      [stamps]int64
	ns       [stamps]int32
	attempt  int
	fence    uint64
	revision uint64
	seq      uint64
	position uint64
	at       int32 // its index in lane.fifo, lane.late, memKind.future or MemStore.running
	state    uint8 // index of states
	late     bool  // in lane.late, not in lane.fifo
}

// The times of a memEntry.
const (
	created = iota
	runAt
	started
	finished
	stamps
)

// memHold is by whom a task is held, and how long; one claim's tasks share it.
type memHold struct {
	owner string
	until time.Time
}

// memMore is what few tasks have.
type memMore struct {
	priority   int
	key        string
	metadata   map[string]string
	unique     *Unique
	retry      RetryPolicy
	timeout    time.Duration
	deaths     int
	progress   *Progress
	checkpoint []byte
	err        *TaskError
}

// load makes t a copy of the task.
func (e *memEntry) load(t *Task) {
	*t = Task{
		ID: e.id, Kind: e.kind.name, Version: e.kind.version, Queue: e.kind.q.name, Payload: e.payload, Result: e.result,
		State: states[e.state], Created: e.time(created), RunAt: e.time(runAt), Started: e.time(started), Finished: e.time(finished),
		Attempt: e.attempt, Fence: e.fence, Revision: e.revision, Seq: e.seq, position: e.position,
	}
	if h := e.hold; h != nil {
		t.Owner, t.LeaseUntil = h.owner, h.until
	}
	if m := e.more; m != nil {
		t.Priority, t.Key, t.Metadata, t.Unique, t.Retry, t.Timeout = m.priority, m.key, m.metadata, m.unique, m.retry, m.timeout
		t.Deaths, t.Progress, t.Checkpoint, t.Error = m.deaths, m.progress, m.checkpoint, m.err
	}
}

// task is a copy of the task.
func (e *memEntry) task() *Task {
	t := new(Task)
	e.load(t)
	return t
}

// set makes e what t is, but for its kind.
func (e *memEntry) set(t *Task) {
	e.id, e.payload, e.result = t.ID, t.Payload, t.Result
	e.state, e.attempt, e.fence, e.revision, e.seq, e.position = uint8(t.State.index()), t.Attempt, t.Fence, t.Revision, t.Seq, t.position //nolint:gosec // few
	e.setTime(created, t.Created)
	e.setTime(runAt, t.RunAt)
	e.setTime(started, t.Started)
	e.setTime(finished, t.Finished)
	switch h := e.hold; {
	case t.Owner == "" && t.LeaseUntil.IsZero():
		e.hold = nil
	case h == nil || h.owner != t.Owner || !h.until.Equal(t.LeaseUntil):
		e.hold = &memHold{t.Owner, t.LeaseUntil.UTC()}
	}
	switch {
	case t.Priority == 0 && t.Key == "" && len(t.Metadata) == 0 && t.Unique == nil && t.Retry == RetryPolicy{} && t.Timeout == 0 &&
		t.Deaths == 0 && t.Progress == nil && len(t.Checkpoint) == 0 && t.Error == nil:
		e.more = nil
		return
	case e.more == nil:
		e.more = new(memMore)
	}
	*e.more = memMore{t.Priority, t.Key, t.Metadata, t.Unique, t.Retry, t.Timeout, t.Deaths, t.Progress, t.Checkpoint, t.Error}
}

func (e *memEntry) time(of int) time.Time { return time.Unix(e.sec[of], int64(e.ns[of])).UTC() }

func (e *memEntry) setTime(of int, t time.Time) {
	e.sec[of], e.ns[of] = t.Unix(), int32(t.Nanosecond()) //nolint:gosec // below 1e9
}

func (e *memEntry) unique() *Unique {
	if e.more == nil {
		return nil
	}
	return e.more.unique
}

// holds reports whether the task holds its unique key at now.
func (e *memEntry) holds(now time.Time) bool {
	u := e.unique()
	return u != nil && u.held(states[e.state], e.fence, now)
}

// lane is the one the task belongs to when it is due.
func (e *memEntry) laneID() laneID {
	if e.more == nil {
		return laneID{}
	}
	return laneID{e.more.key, e.more.priority}
}

// place is where a task stands among those of one priority, and those that wait for their time.
type place struct {
	sec int64
	ns  int32
	seq uint64
}

func (e *memEntry) place() place { return place{e.sec[runAt], e.ns[runAt], e.seq} }

func (p place) before(o place) bool {
	switch {
	case p.sec != o.sec:
		return p.sec < o.sec
	case p.ns != o.ns:
		return p.ns < o.ns
	}
	return p.seq < o.seq
}

func (e *memEntry) before(o *memEntry) bool { return e.place().before(o.place()) }
func (e *memEntry) moved(at int)            { e.at = int32(at) } //nolint:gosec // there are no 2 billion tasks
