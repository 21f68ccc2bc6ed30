package filestore

import (
	"context"
	"errors"
	"fmt"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// purpose is what a record is written for. Where no next segment can be made, the rest of the last
// one is for what matters more and more.
type purpose int

const (
	forNewTask purpose = iota // a task, or its running again: not in the last quarter
	forRun                    // begins a run, whose end wants room too: not in the last eighth
	forChange                 // of a task that is there: not in the last sixteenth
	forRelief                 // makes room, a deletion or a cancellation; and reserves fences
	forStore                  // a compaction, which cannot wait for itself, opening and stopping
)

// purposeOf is what a change is for. A task that had finished and is to run again is like a new
// one.
func purposeOf(c memstore.Change) purpose {
	switch {
	case c.Old == nil || c.New != nil && c.Old.State.Done() && !c.New.State.Done():
		return forNewTask
	case c.New == nil || c.New.State == tasks.Cancelled:
		return forRelief
	case c.New.Fence != c.Old.Fence:
		return forRun
	}
	return forChange
}

// reserved is how much of a segment of some size is not for records of a purpose.
func (p purpose) reserved(size int64) int64 {
	switch p {
	case forNewTask:
		return size / 4
	case forRun:
		return size / 8
	case forChange:
		return size / 16
	case forRelief:
		return size / 64
	default:
		return 0
	}
}

// waitError says that a change has to wait, and until when: its caller holds the store's locks and
// must not.
type waitError struct{ done <-chan struct{} }

func (*waitError) Error() string { return "filestore: the change has to wait" }

// awaitRetry waits until a change that gave err may be tried again; otherwise it returns err.
func (l *log) awaitRetry(ctx context.Context, err error) error {
	if errors.Is(err, errFencesUsedUp) {
		return l.reserveFences(ctx)
	}
	var wait *waitError
	if !errors.As(err, &wait) {
		return err
	}
	select {
	case <-wait.done:
		return nil
	case <-ctx.Done():
		return ctx.Err() // nothing was changed
	}
}

// admitLocked reports why there is no room for new tasks: a waitError, or ErrStoreFull. The store
// takes them only where they can finish: size is that of their record, and expected what they will
// add.
func (l *log) admitLocked(size, expected int64) error {
	var full error
	free, want := &l.segments.free, l.wantFreeLocked(size, expected)
	switch {
	case l.o.MaxSize > 0 && l.segments.used+2*l.o.SegmentSize > l.o.MaxSize:
		full = fmt.Errorf("%w: MaxSize is reached", tasks.ErrStoreFull)
	case free.bytes < want:
		free.remeasureLocked()
		full = fmt.Errorf("%w: %d bytes are free on the disk; another task takes %d with what is "+
			"kept for compactions and the ends of tasks (Options.Reserve)", tasks.ErrStoreFull,
			free.bytes, want)
	default:
		return nil
	}
	l.compactor.beginForSpaceLocked(forNewTask)
	if l.compactor.running != nil && free.bytes < want {
		return &waitError{l.compactor.running} // it may have space then
	}
	return full
}

// wantFreeLocked is how much of the disk has to be free for new tasks: room for what all tasks will
// add to the log until they have finished, for a compaction of them then, a quarter more, and two
// segments.
func (l *log) wantFreeLocked(size, expected int64) int64 {
	live := l.budget.live + size
	return size + live + live/4 + 2*(l.budget.expected+expected) + 2*l.segments.current.size
}

// makeRoomLocked makes the current segment one with room for a record, or reports why there is
// none: a waitError, or ErrStoreFull.
func (l *log) makeRoomLocked(size int64, p purpose) error {
	for {
		current, left := l.segments.current, l.leftLocked(size)
		if l.segments.spare == nil && left < current.size/2 {
			l.segments.prepareLocked(size)
			if left < p.reserved(current.size) {
				return l.noRoomErrorLocked(p)
			}
		}
		if left >= 0 {
			return nil
		}
		l.rotateLocked() // to one that may have been made for something smaller
		l.compactor.beginIfDueLocked()
	}
}

// leftLocked is how much is left of the current segment after a record.
func (l *log) leftLocked(size int64) int64 {
	if l.filling == nil {
		size += headSize
	}
	return l.segments.current.size - trailerSize - l.segments.current.end - size
}

// noRoomErrorLocked is the error of a record for which there is no room in the segment while there
// is no next one.
func (l *log) noRoomErrorLocked(p purpose) error {
	g := l.segments
	if g.making != nil && (g.spareErr == nil || p != forNewTask) {
		return &waitError{g.making}
	}
	if l.stopping {
		return tasks.ErrNotRunning
	}
	l.compactor.beginForSpaceLocked(p)
	if l.compactor.running != nil && p != forNewTask && p != forStore {
		return &waitError{l.compactor.running}
	}
	return g.spareErr
}

// lacksRoomLocked reports whether err says that there is no room, or not before a compaction has
// finished.
func (l *log) lacksRoomLocked(err error) bool {
	var wait *waitError
	return errors.Is(err, tasks.ErrStoreFull) ||
		errors.As(err, &wait) && wait.done == l.compactor.running
}
