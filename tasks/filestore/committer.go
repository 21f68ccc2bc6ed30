package filestore

import (
	"errors"
	"os"
	"runtime"
)

// committer writes the log's batches, one after the other, and syncs those for which somebody
// waits. While it writes one the next is filled, so that many changes share a sync.
type committer struct {
	log      *log
	watchers *watchers
	syncFile func(f *os.File) error // makes a file's data durable

	// Its goroutine's alone, and shutDown's after that.
	segment     *segment // that was written to so far
	syncedFrame uint64   // the number of the latest frame that is known to be on the disk
}

// run writes batches until the store has stopped.
func (c *committer) run() {
	for range c.log.wake {
		for {
			b := c.log.nextBatch()
			if b == nil {
				break
			}
			err := c.write(b)
			c.log.finish(b, err)
			if err == nil {
				c.watchers.notify(b.changed)
			}
		}
	}
}

// defaultYields is how often nextBatch lets others run at most. With 16 submitters on 2 CPUs it
// saves two syncs in five, and a third of the CPU time (BenchmarkCommitter_Yields).
const defaultYields = 16

// nextBatch returns the next batch to write, nil when there is none. It first lets those run that
// the last one has woken, until they stage nothing more: most of them bring the next change, and
// what comes now needs no sync of its own.
func (l *log) nextBatch() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, before := 0, uint64(0); i < l.yields && len(l.filled) == 0 && l.filling != nil &&
		l.staged != before; i++ {
		before = l.staged
		l.mu.Unlock()
		runtime.Gosched()
		l.mu.Lock()
	}
	if len(l.filled) > 0 {
		l.writing = l.filled[0]
		l.filled = l.filled[1:]
	} else {
		l.writing, l.filling = l.filling, nil
	}
	return l.writing
}

// write writes a batch, and waits for the disk when somebody waits for the batch.
func (c *committer) write(b *batch) error {
	c.log.mu.Lock()
	failed := c.log.failed
	c.log.mu.Unlock()
	if failed != nil {
		return failed // what comes after a hole in the log is lost
	}
	if c.segment != b.segment {
		if err := c.closeSegment(); err != nil {
			return err
		}
		c.segment = b.segment
	}
	sealFrame(b.b, b.refs, b.number, c.syncedFrame)
	at := b.at
	for piece := range pieces(b.b, b.refs) {
		if _, err := b.segment.f.WriteAt(piece, at); err != nil {
			return err
		}
		at += int64(len(piece))
	}
	if b.sync {
		if err := c.syncFile(b.segment.f); err != nil {
			return err
		}
		c.syncedFrame = b.number
	}
	return c.log.dir.check() // what is acknowledged is where others will look for it
}

// closeSegment syncs and closes the segment that was written to so far.
func (c *committer) closeSegment() error {
	if c.segment == nil {
		return nil
	}
	err := c.syncFile(c.segment.f)
	err = errors.Join(err, c.segment.f.Close())
	c.segment = nil
	return err
}

// finish tells those who wait for a batch that it was written, or why it was not.
func (l *log) finish(b *batch, err error) {
	l.mu.Lock()
	l.writing = nil
	if err != nil {
		// Nobody knows what is on the disk now, and a second fsync would not tell (the kernel drops
		// the pages): so nothing more is taken.
		l.failLocked(err)
		b.err = l.failed
	} else if b.sync {
		l.syncedPosition = b.last
	}
	if cap(b.b) <= maxScratch && len(l.buffers) < 2 {
		l.buffers = append(l.buffers, b.b)
	}
	l.mu.Unlock()
	close(b.done)
}
