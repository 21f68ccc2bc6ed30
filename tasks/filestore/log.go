package filestore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/genropy/genro-asgi-go/tasks"
)

// log takes records, gathers them in batches, and lets callers wait until theirs are on the disk.
// The committer writes the batches. A position counts what was staged.
type log struct {
	*shared
	segments  *segments
	compactor *compactor
	yields    int           // see nextBatch
	wake      chan struct{} // holds one when there is a batch to write; closed when the store stops

	// Guarded by the store's lock. The batches follow one another: writing, filled, filling.
	writing        *batch
	filled         []*batch
	filling        *batch
	buffers        [][]byte // of batches that were written, for the next
	frame          uint64   // the number of the latest batch
	staged         uint64   // the latest position
	syncedPosition uint64   // the latest position that is known to be on the disk
	reserved       uint64   // the fences up to it may be handed out: that is on the disk
}

// batch is a frame that is being filled, or written.
type batch struct {
	segment *segment
	at      int64  // where in the segment
	number  uint64 // of the frame
	b       []byte // head and records, without the large values
	refs    []ref  // to the large values
	last    uint64 // the position of its last change
	sync    bool   // somebody waits until it is on the disk
	changed []tasks.Task
	done    chan struct{} // closed when it was written, and synced if it was to be
	err     error         // set before done is closed
}

// stageLocked appends records to the batch that is being filled. wait says that their caller waits
// until they are on the disk.
func (l *log) stageLocked(r records, wait bool, p purpose) error {
	size := r.size()
	if most := l.o.SegmentSize - segmentHeads; size > most {
		return fmt.Errorf("%w: a record of %d bytes, the log's segments have %d", tasks.ErrTooLarge,
			size, most)
	}
	if err := l.makeRoomLocked(size, p); err != nil {
		return err
	}
	l.appendLocked(r, size, wait)
	return nil
}

// appendLocked is stageLocked where there is room.
func (l *log) appendLocked(r records, size int64, wait bool) {
	current := l.segments.current
	if l.filling == nil {
		l.frame++
		l.filling = &batch{
			segment: current, at: current.end, number: l.frame,
			b: append(l.bufferLocked(), make([]byte, headSize)...), done: make(chan struct{}),
		}
		size += headSize
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	for _, ref := range r.refs {
		ref.at += len(l.filling.b)
		l.filling.refs = append(l.filling.refs, ref)
	}
	l.filling.b = append(l.filling.b, r.b...)
	current.end += size
	l.compactor.logged += size
	l.staged++
	l.filling.last = l.staged
	l.filling.sync = l.filling.sync || wait
}

func (l *log) bufferLocked() []byte {
	if n := len(l.buffers); n > 0 {
		b := l.buffers[n-1]
		l.buffers = l.buffers[:n-1]
		return b[:0]
	}
	return nil
}

// rotateLocked goes on in the spare segment. The last frame of this one names it, so that recovery
// misses a segment that is gone.
func (l *log) rotateLocked() {
	name := binary.AppendUvarint([]byte{opNext}, l.segments.spare.number)
	l.appendLocked(records{b: name}, int64(len(name)), false)
	l.filled = append(l.filled, l.filling)
	l.filling = nil
	l.segments.rotateLocked()
}

// stageOwn stages a record of the store's own, for which callers wait, as soon as there is room. It
// calls record with the store's lock held. It returns the record's position and its frame.
func (l *log) stageOwn(ctx context.Context, p purpose, record func() []byte) (position,
	frame uint64, err error,
) {
	for {
		l.mu.Lock()
		if err = l.refusalLocked(); err == nil {
			err = l.stageLocked(records{b: record()}, true, p)
		}
		position, frame = l.staged, l.frame
		l.mu.Unlock()
		if err == nil {
			return position, frame, nil
		}
		if err = l.awaitRetry(ctx, err); err != nil {
			return 0, 0, err
		}
	}
}

// wait waits until the batch that has the change at a position is written, and on the disk if any
// change in it has to be there before its caller goes on. As batches are written in their order,
// the same holds for all changes before this one. The error is the batch's, or ctx's.
func (l *log) wait(ctx context.Context, position uint64) error {
	l.mu.Lock()
	if position <= l.syncedPosition {
		l.mu.Unlock()
		return nil
	}
	in, failed := l.batchOfLocked(position), l.failed
	l.mu.Unlock()
	if in == nil {
		return failed
	}
	select {
	case <-in.done:
		return in.err
	case <-ctx.Done():
		return ctx.Err() // the change may be on the disk all the same
	}
}

// batchOfLocked returns the batch with the change at a position, nil when it was written.
func (l *log) batchOfLocked(position uint64) *batch {
	if l.writing != nil && l.writing.last >= position {
		return l.writing
	}
	for _, b := range l.filled {
		if b.last >= position {
			return b
		}
	}
	if l.filling != nil && l.filling.last >= position {
		return l.filling
	}
	return nil
}

// flush waits until all that is staged now is on the disk, and returns the number of the last
// frame.
func (l *log) flush(ctx context.Context) (frame uint64, err error) {
	// It reserves no more fences: it is a record that changes nothing.
	position, frame, err := l.stageOwn(ctx, forStore,
		func() []byte { return reserveRecord(l.reserved) })
	if err != nil {
		return 0, err
	}
	return frame, l.wait(ctx, position)
}

// point is a place between two frames of the log.
type point struct {
	segment uint64
	at      int64  // in it
	frame   uint64 // the number of the frame that follows
}

// pointLocked is the place before the batch that is being filled, or else after the last.
func (l *log) pointLocked() point {
	if b := l.filling; b != nil {
		return point{b.segment.number, b.at, b.number}
	}
	return point{l.segments.current.number, l.segments.current.end, l.frame + 1}
}

// fenceRange is how many fences are reserved at once. After a restart they begin where the reserved
// ones end, so that none comes twice, though claims are not synced.
const fenceRange = 1 << 20

// errFencesUsedUp asks for a new range of fences; awaitRetry gets it.
var errFencesUsedUp = errors.New("filestore: the reserved fences are used up")

// reserveRecord says that the fences up to a number may have been handed out.
func reserveRecord(upTo uint64) []byte { return binary.AppendUvarint([]byte{opReserve}, upTo) }

// reserveFences makes the next range of fences durable.
func (l *log) reserveFences(ctx context.Context) error {
	var upTo uint64
	position, _, err := l.stageOwn(ctx, forRelief, func() []byte {
		upTo = l.reserved + fenceRange
		return reserveRecord(upTo)
	})
	if err == nil {
		err = l.wait(ctx, position)
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reserved = max(l.reserved, upTo)
	return nil
}
