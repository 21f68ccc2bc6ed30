package filestore

import (
	"errors"
	"fmt"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// compactSegments is how many segments long the log is before it is compacted.
const compactSegments = 4

// compactPauseMost is the longest pause after compactions that failed.
const compactPauseMost = 5 * time.Second

// compactor writes snapshots, which take the place of the log before them. One compaction runs at a
// time, in a goroutine of its own.
type compactor struct {
	*shared
	segments *segments
	log      *log
	journal  *journal

	// Guarded by the store's lock.
	running    chan struct{} // closed when the compaction has finished; nil when none runs
	finishedAt time.Time     // when the last one finished
	took       time.Duration // by the last one
	pause      time.Duration // before the next one, after failures
	snapshot   fileSize      // the latest; its number is 0 when there is none
	logged     int64         // bytes of frames since the snapshot
	deleted    int64         // bytes of tasks that were deleted since the snapshot, about
}

// beginIfDueLocked begins a compaction when the log has grown to four segments and to the
// snapshot's size.
func (c *compactor) beginIfDueLocked() {
	if c.segments.size >= max(c.snapshot.size, compactSegments*c.segments.current.size) {
		c.beginLocked()
	}
}

// beginForSpaceLocked begins a compaction of a store that is full, if it is worth it: for new tasks
// it takes a fifth of the time at most.
func (c *compactor) beginForSpaceLocked(p purpose) {
	pause := c.pause
	if p == forNewTask {
		pause = max(pause, 4*c.took)
	}
	if c.logged+c.deleted >= c.segments.current.size/16 && time.Since(c.finishedAt) >= pause {
		c.beginLocked()
	}
}

// beginLocked begins a compaction of what was logged so far, unless one runs.
func (c *compactor) beginLocked() {
	if c.running != nil || c.stopping {
		return
	}
	c.running = make(chan struct{})
	from, logged, deleted := c.log.pointLocked(), c.logged, c.deleted
	c.work.Go(func() { c.compact(from, logged, deleted) })
}

// compact writes all tasks into a snapshot, and removes the segments before it. Others go on
// meanwhile: a task may be in the snapshot as it was at any time since, and its revision tells
// which of the changes in the log come after that. logged and deleted are the store's counts before
// the point.
func (c *compactor) compact(from point, logged, deleted int64) {
	begun := time.Now()
	size, err := c.writeSnapshot(from)
	if err == nil {
		removed := c.replace(fileSize{from.segment, size}, logged, deleted).remove(c.dir)
		c.segments.free.measure()
		c.mu.Lock()
		c.segments.used -= removed
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		c.pause = 0
	} else { // as good as never begun
		c.pause = min(max(2*c.pause, retryFull), compactPauseMost)
	}
	c.finishedAt = time.Now()
	c.took = c.finishedAt.Sub(begun)
	close(c.running)
	c.running = nil
}

// replace makes a snapshot the latest, and returns the files whose place it takes.
func (c *compactor) replace(snapshot fileSize, logged, deleted int64) replaced {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := replaced{bytes: c.snapshot.size, logs: c.segments.dropBeforeLocked(snapshot.number)}
	if c.snapshot.number != 0 && c.snapshot.number != snapshot.number {
		old.snapshot = c.snapshot.number
	}
	c.snapshot = snapshot
	c.logged -= logged
	c.deleted -= deleted
	c.segments.spareErr = nil // there may be room now
	c.segments.used += snapshot.size
	return old
}

// replaced are files whose place a snapshot has taken.
type replaced struct {
	logs     []fileSize
	snapshot uint64 // 0 when there was none, or the new one has its name
	bytes    int64  // of the snapshot
}

// remove removes them and returns how many bytes they had.
func (r replaced) remove(dir *directory) (bytes int64) {
	for _, f := range r.logs {
		if dir.remove(f.number, logExt) {
			bytes += f.size
		}
	}
	if r.snapshot != 0 {
		_ = dir.remove(r.snapshot, snapExt) // the next opening tries again
	}
	return bytes + r.bytes
}

// writeSnapshot writes the snapshot that goes before a point of the log.
func (c *compactor) writeSnapshot(from point) (size int64, err error) {
	c.mu.Lock()
	own, need := c.snapshot.number == from.segment, c.budget.live
	c.mu.Unlock()
	if free, _, known := c.dir.space(); known && free < need {
		return 0, fmt.Errorf("%w: %d bytes are free on the disk, a compaction may take %d",
			tasks.ErrStoreFull, free, need)
	}
	if !own && !c.dir.unused(from.segment, snapExt) {
		return 0, fmt.Errorf("filestore: %s is another program's",
			c.dir.name(from.segment, snapExt))
	}
	f, tmp, err := c.dir.temp(head{store: c.id, number: from.segment}, snapExt)
	if err != nil {
		return 0, err
	}
	w := &snapshotWriter{f: f, size: fileHead}
	if err = c.journal.writeTasks(c.ctx, w); err == nil {
		// The log must reach as far as what the snapshot has seen: recovery relies on it.
		var upTo uint64
		if upTo, err = c.log.flush(c.ctx); err == nil {
			if err = w.finish(from, upTo); err == nil {
				err = c.dir.keep(f, tmp, from.segment, snapExt)
			}
		}
	}
	if err != nil {
		return 0, errors.Join(err, f.Close(), c.dir.root.Remove(tmp))
	}
	return w.size, f.Close()
}
