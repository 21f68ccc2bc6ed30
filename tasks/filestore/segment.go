package filestore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

const (
	logExt  = ".log"
	snapExt = ".snap"
	tmpExt  = ".tmp"
)

func (s *Store) path(n uint64, ext string) string {
	return filepath.Join(s.dir, fmt.Sprintf("%016d%s", n, ext))
}

// prepared is what became of making a segment.
type prepared struct {
	seg *segment
	err error
}

// retryFull is how long a store that found its disk full waits before it looks again.
const retryFull = 100 * time.Millisecond

// prepareLocked begins to make the next segment, unless that is under way or has just failed.
func (s *Store) prepareLocked() {
	if s.preparing || s.closing || s.spareErr != nil && time.Since(s.triedAt) < retryFull {
		return
	}
	s.preparing = true
	s.nextSegment++
	n := s.nextSegment
	s.used += s.o.SegmentSize
	s.work.Go(func() {
		seg, err := s.makeSegment(n)
		s.spares <- prepared{seg, err}
	})
}

// spareLocked takes over the segment that is being made, and waits for it when it must.
func (s *Store) spareLocked(must bool) {
	if s.spare != nil {
		return
	}
	if must && !s.preparing {
		s.spareErr = nil
		if s.prepareLocked(); !s.preparing {
			s.spareErr = tasks.ErrNotRunning
			return
		}
	}
	if !s.preparing {
		return
	}
	var p prepared
	if must {
		p = <-s.spares
	} else {
		select {
		case p = <-s.spares:
		default:
			return
		}
	}
	s.preparing, s.spare, s.spareErr, s.triedAt = false, p.seg, p.err, time.Now()
	if p.err != nil {
		s.used -= s.o.SegmentSize
		if isFull(p.err) {
			s.spareErr = fmt.Errorf("%w: %w", tasks.ErrStoreFull, p.err)
		}
	}
}

// makeSegment makes a file of zeros that are on the disk.
func (s *Store) makeSegment(n uint64) (*segment, error) {
	path := s.path(n, logExt)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err = zero(f, 0, s.o.SegmentSize); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return &segment{n: n, f: f, size: s.o.SegmentSize}, nil
}

var zeros [64 << 10]byte

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
