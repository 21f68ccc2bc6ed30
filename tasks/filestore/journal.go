package filestore

import (
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// journal makes records of the memory store's changes, and knows what is to be known of the tasks
// beside them.
type journal struct {
	*shared
	mem      *memstore.Store
	log      *log
	watchers *watchers

	// Guarded by the store's lock.
	scratch records
	lastSeq uint64 // of all tasks so far
	// The tasks of which the log lacks heartbeats, as there was no room for them. The next record
	// of such a task has what they changed.
	unlogged   map[uint64]bool
	keyHolders map[uint64]*tasks.Task // deleted tasks that hold their unique key, by Seq
	// the latest time of a deletion: a key may have expired by then
	latest time.Time
}

func newJournal(l *log, w *watchers) *journal {
	j := &journal{
		shared: l.shared, log: l, watchers: w,
		unlogged: map[uint64]bool{}, keyHolders: map[uint64]*tasks.Task{},
	}
	j.mem = memstore.NewJournaled(j.append)
	return j
}

// append stages changes, in one frame. The memory store calls it in the order of the changes, with
// its locks held, and makes them when there is no error.
func (j *journal) append(changes []memstore.Change) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refusalLocked(); err != nil {
		return err
	}
	wait, p, expected, err := j.recordAllLocked(changes)
	if err != nil {
		return err
	}
	if p == forNewTask {
		err = j.log.admitLocked(j.scratch.size(), expected)
	}
	if err == nil {
		err = j.log.stageLocked(j.scratch, wait, p)
	}
	j.scratch.release()
	// A holder must not lose its task for want of room: a heartbeat stays in memory until there is.
	unlogged := err != nil && !wait && p == forChange && j.log.lacksRoomLocked(err)
	if err != nil && !unlogged {
		return err
	}
	for _, c := range changes {
		j.budget.change(c.Old, c.New)
		if unlogged {
			c.New.Position = c.Old.Position
			j.unlogged[c.New.Seq] = true
			continue
		}
		j.stagedLocked(c.Old, c.New, wait)
	}
	return nil
}

// recordAllLocked makes the records of changes in the scratch. It returns whether their caller
// waits until they are on the disk, what the most dispensable of them is for, and what new ones
// among the tasks are expected to add.
func (j *journal) recordAllLocked(changes []memstore.Change) (wait bool, p purpose, expected int64,
	err error,
) {
	p = forRelief
	j.scratch.reset()
	for _, c := range changes {
		must, err := j.recordLocked(c.Old, c.New)
		if err != nil {
			return false, 0, 0, err
		}
		of := purposeOf(c)
		if of == forNewTask {
			expected += j.budget.forNew(c.New.Kind)
		}
		wait, p = wait || must, min(p, of)
	}
	return wait, p, expected, nil
}

// recordLocked appends the record of a change to the scratch, and reports whether its caller waits
// until it is on the disk.
func (j *journal) recordLocked(old, t *tasks.Task) (wait bool, err error) {
	r := &j.scratch
	if t == nil {
		r.b = deleteRecord(r.b, old.Seq)
		return true, nil
	}
	if err := checkTimes(t); err != nil {
		return false, err
	}
	if old == nil {
		r.b = appendChangeRefs(r.b, &r.refs, opChange, t, diff(&blank, t))
		return true, nil
	}
	mask := diff(old, t)
	claim := mask.has(fFence)
	if claim && t.Fence > j.log.reserved {
		return false, errFencesUsedUp
	}
	wait = !claim && mask&^heartbeat != 0
	if len(j.unlogged) > 0 && j.unlogged[t.Seq] {
		mask |= heartbeat // what the log lacks; recovery sees by it that revisions are left out
	}
	r.b = appendChangeRefs(r.b, &r.refs, opChange, t, mask)
	return wait, nil
}

// deletedLeast is about how many bytes a deleted task without values leaves behind in the files.
const deletedLeast = 64

// stagedLocked notes what a change means whose record is in the batch that is being filled.
func (j *journal) stagedLocked(old, t *tasks.Task, wait bool) {
	if len(j.unlogged) > 0 && old != nil {
		delete(j.unlogged, old.Seq)
	}
	if t == nil {
		j.log.compactor.deleted += int64(len(old.Payload) + len(old.Result) +
			len(old.Checkpoint) + deletedLeast)
		if holdsKeyWhenDeleted(old) {
			holder := *old
			j.keyHolders[old.Seq] = &holder
			j.budget.live += sizeOf(old)
		}
		return
	}
	position := j.log.staged
	if !wait {
		position = old.Position
	}
	if old == nil {
		j.lastSeq = t.Seq
	}
	t.Position = position // before the committer may show it
	if j.watchers.any.Load() {
		j.log.filling.changed = append(j.log.filling.changed, *t)
	}
}

// holdsKeyWhenDeleted reports whether a task's unique key is kept for a time, whatever becomes of
// the task.
func holdsKeyWhenDeleted(t *tasks.Task) bool {
	return t.Unique != nil && t.Unique.While == tasks.UniqueFor
}

// deleting notes the time of a deletion.
func (j *journal) deleting(now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if now.After(j.latest) {
		j.latest = now
	}
}

// keyHoldersNow returns the deleted tasks that still hold their unique key, and forgets the others.
func (j *journal) keyHoldersNow() []*tasks.Task {
	j.mu.Lock()
	defer j.mu.Unlock()
	holders := make([]*tasks.Task, 0, len(j.keyHolders))
	for seq, t := range j.keyHolders {
		if t.Holds(j.latest) {
			holders = append(holders, t)
		} else {
			delete(j.keyHolders, seq)
			j.budget.live -= sizeOf(t)
		}
	}
	return holders
}

// resume goes on from what was recovered, and counts it.
func (j *journal) resume(r *replay) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lastSeq, j.keyHolders = r.lastSeq, r.keyHolders
	for _, t := range r.tasks {
		j.budget.change(nil, t)
		if t.State.Done() {
			j.budget.learn(t)
		}
	}
	for _, t := range r.keyHolders {
		j.budget.live += sizeOf(t)
	}
}

// records are some that are staged together. Large values are not copied among them.
type records struct {
	b    []byte
	refs []ref
}

// maxScratch is how many bytes are kept for the next records, or the next batch.
const maxScratch = 1 << 20

func (r *records) reset() { r.b, r.refs = r.b[:0], r.refs[:0] }

// release lets go of what only these records needed.
func (r *records) release() {
	clear(r.refs)
	if cap(r.b) > maxScratch {
		r.b = nil
	}
}

// size is how many bytes they take, with their values.
func (r records) size() int64 {
	size := len(r.b)
	for _, ref := range r.refs {
		size += len(ref.value)
	}
	return int64(size)
}
