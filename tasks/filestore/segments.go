package filestore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// segments are the log's files: the one that is being filled, those before it, and a spare one that
// is made before it is needed.
type segments struct {
	*shared
	free freeSpace

	// Guarded by the store's lock.
	current  *segment
	files    []fileSize    // of the log since the snapshot, or longer while there are readers
	readers  int           // backups, which keep files from being removed
	spare    *segment      // comes after current
	spareErr error         // why there is none
	making   chan struct{} // closed when a spare was made or could not be; nil when none is made
	triedAt  time.Time     // when one was made last, or could not be
	used     int64         // bytes of all files, the snapshot's too
	size     int64         // bytes of the segments since the snapshot
}

// segment is a file of the log. Its blocks are there before it is written to, so that a change that
// was taken finds its space, and a sync has no sizes to write down.
type segment struct {
	number uint64
	f      *os.File
	size   int64
	end    int64 // of what is staged
}

// fileSize is a segment of the log, or a snapshot, and its size.
type fileSize struct {
	number uint64
	size   int64
}

// trailerSize is what a segment keeps for the frame that ends it, which names the next.
const trailerSize = headSize + 1 + binary.MaxVarintLen64

// segmentHeads is what a segment has beside the records of one frame.
const segmentHeads = fileHead + headSize + trailerSize

// smallSegments is how many segments a disk is to have room for: on a small one, or one with little
// to spare, they are smaller, as a compaction frees whole ones only.
const smallSegments = 16

// retryFull is how long a store that found its disk full waits before it looks again.
const retryFull = 100 * time.Millisecond

// prepareLocked begins to make the spare segment, with room for a record, unless that is under way
// or has just failed.
func (g *segments) prepareLocked(record int64) {
	if g.spare != nil || g.making != nil || g.stopping ||
		g.spareErr != nil && time.Since(g.triedAt) < retryFull {
		return
	}
	made := make(chan struct{})
	g.making = made
	h, need := head{g.id, g.current.number + 1, g.current.number}, g.compactionNeedLocked()
	size := g.newSizeLocked(record, need)
	g.used += size
	g.work.Go(func() {
		spare, err := g.create(h, size, need)
		g.free.measure()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.making, g.spare, g.spareErr, g.triedAt = nil, spare, err, time.Now()
		if err != nil {
			g.used -= size
		}
		close(made)
	})
}

// compactionNeedLocked is what a compaction may have to write when the current segment is full.
func (g *segments) compactionNeedLocked() int64 {
	return g.budget.live + g.current.size - g.current.end
}

// newSizeLocked is how large a new segment is to be, with room for a record.
func (g *segments) newSizeLocked(record, need int64) int64 {
	alone := (record + segmentHeads) * 4 / 3 // what is kept free for other purposes is a quarter
	return min(max((g.free.bytes-need)/smallSegments&^4095, alone, minSegment), g.o.SegmentSize)
}

// create makes a file of zeros that are on the disk, unless it would take the room that a
// compaction needs: of all that is there, and of what the segment is filled with.
func (g *segments) create(h head, size, need int64) (*segment, error) {
	if err := g.dir.check(); err != nil {
		return nil, err
	}
	if free, _, known := g.dir.space(); known && need > 0 && free < 2*size+need {
		return nil, fmt.Errorf("%w: %d bytes are free on the disk; a segment takes %d, and a "+
			"compaction may take %d", tasks.ErrStoreFull, free, size, size+need)
	}
	// A name that is taken is another program's.
	for !g.dir.unused(h.number, logExt) || !g.dir.unused(h.number, snapExt) {
		if h.number++; h.number > maxNumber {
			return nil, errors.New("filestore: there is no number left for a segment")
		}
	}
	f, tmp, err := g.dir.temp(h, logExt)
	if err == nil {
		if err = zero(f, fileHead, size); err == nil {
			err = g.dir.keep(f, tmp, h.number, logExt)
		}
		if err != nil {
			err = errors.Join(err, f.Close(), g.dir.root.Remove(tmp))
		}
	}
	switch {
	case isFull(err):
		return nil, fmt.Errorf("%w: %w", tasks.ErrStoreFull, err)
	case err != nil:
		return nil, err
	}
	return &segment{number: h.number, f: f, size: size, end: fileHead}, nil
}

// rotateLocked makes the spare segment the current one.
func (g *segments) rotateLocked() {
	g.current, g.spare = g.spare, nil
	g.files = append(g.files, fileSize{g.current.number, g.current.size})
	g.size += g.current.size
}

// dropBeforeLocked forgets the segments before one, and returns them; not while somebody reads
// them: then the next compaction's call does it.
func (g *segments) dropBeforeLocked(number uint64) (dropped []fileSize) {
	kept := g.files[:0]
	g.size = 0
	for _, f := range g.files {
		if f.number < number && g.readers == 0 {
			dropped = append(dropped, f)
			continue
		}
		kept = append(kept, f)
		if f.number >= number {
			g.size += f.size
		}
	}
	g.files = kept
	return dropped
}

// resume goes on in the last of the log's files, which was recovered or made.
func (g *segments) resume(current *segment, files []fileSize, snapshot int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.current, g.files = current, files
	for _, f := range files {
		g.size += f.size
	}
	g.used = g.size + snapshot
}

var zeros [64 << 10]byte

// zero writes zeros.
func zero(f io.WriterAt, from, to int64) error {
	for from < to {
		n, err := f.WriteAt(zeros[:min(to-from, int64(len(zeros)))], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return nil
}

// freeSpace is how much of the disk is free.
type freeSpace struct {
	*shared

	// Guarded by the store's lock.
	bytes      int64 // when it was measured last
	measuring  bool
	measuredAt time.Time
}

// unknownFree is taken for free where that is not known: the disk says so when nothing is.
const unknownFree = 1 << 62

// measure asks the disk.
func (s *freeSpace) measure() {
	free, _, known := s.dir.space()
	if !known {
		free = unknownFree
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes, s.measuring, s.measuredAt = free, false, time.Now()
}

// remeasureLocked begins to measure again, every now and then.
func (s *freeSpace) remeasureLocked() {
	if s.measuring || s.stopping || time.Since(s.measuredAt) < retryFull {
		return
	}
	s.measuring = true
	s.work.Go(s.measure)
}
