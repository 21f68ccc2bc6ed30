package filestore

import (
	"fmt"

	"github.com/genropy/genro-asgi-go/tasks"
)

// Sizes of a segment, in bytes.
const (
	minSegment     = 64 << 10
	defaultSegment = 16 << 20
	maxSegment     = 1 << 30
)

// minSegments is how many segments MaxSize has room for at least.
const minSegments = 8

// Options of a store. Nil and zero are valid.
type Options struct {
	// SegmentSize is the size of the log's files, in bytes; 16 MiB when zero, 64 KiB at least, 1
	// GiB at most. A task must fit into one. Where 16 of them are more than the disk has to spare,
	// they are made smaller.
	SegmentSize int64
	// MaxSize bounds the directory's files, in bytes; zero leaves it to the disk; 8 segments at
	// least. A store two segments below it refuses new tasks with tasks.ErrStoreFull, until enough
	// are deleted. Changes of the tasks that are there go on, and a compaction takes a snapshot's
	// size for a while. The disk's limit holds beside it.
	MaxSize int64
	// Reserve is how much of the disk is kept for what each unfinished task will add to itself, in
	// bytes: its result or its error, and its checkpoint. Zero takes a quarter more than the last
	// thousand tasks of its kind added on average; before any has finished, 128 KiB for each of a
	// kind's first 1,024 (1/256 of the disk at most), and 4 KiB for each further one. With the size
	// of the largest result, all tasks that are there can finish.
	Reserve int64
}

// withDefaults returns the options with their defaults, or ErrInvalid.
func (o *Options) withDefaults() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.SegmentSize == 0 {
		c.SegmentSize = defaultSegment
	}
	if c.SegmentSize < minSegment || c.SegmentSize > maxSegment || c.Reserve < 0 ||
		c.MaxSize != 0 && c.MaxSize < minSegments*c.SegmentSize {
		return c, fmt.Errorf("%w: filestore: SegmentSize %d, MaxSize %d, Reserve %d",
			tasks.ErrInvalid, c.SegmentSize, c.MaxSize, c.Reserve)
	}
	return c, nil
}
