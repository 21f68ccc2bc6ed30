package memstore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/genropy/genro-asgi-go/tasks"
)

// seqIndex finds tasks by their place in the order of submission. Chunks hold a range of numbers
// each, so that a page begins in the middle without a search through those before it, and what is
// deleted leaves no more than its part of a chunk.
type seqIndex []*seqChunk

const chunkSize = 256

type seqChunk struct {
	number uint64 // of entries from number*chunkSize
	traits traits
	e      [chunkSize]*entry
}

func (x seqIndex) find(number uint64) (int, bool) {
	if len(x) > 0 { // where it is when none has left
		if i := number - x[0].number; i < uint64(len(x)) && x[i].number == number {
			return int(i), true
		}
	}
	return slices.BinarySearchFunc(x, number, func(c *seqChunk, number uint64) int {
		switch {
		case c.number < number:
			return -1
		case c.number > number:
			return 1
		}
		return 0
	})
}

func (x *seqIndex) add(e *entry) {
	number, at := e.seq/chunkSize, e.seq%chunkSize
	i, ok := x.find(number)
	if !ok {
		*x = slices.Insert(*x, i, &seqChunk{number: number})
	}
	c := (*x)[i]
	c.e[at] = e
	c.traits.add(e)
}

// traits are those of the chunk that has a number, which is there.
func (x seqIndex) traits(seq uint64) *traits {
	i, _ := x.find(seq / chunkSize)
	return &x[i].traits
}

// get returns the task of a number that is there.
func (x seqIndex) get(seq uint64) *entry {
	i, _ := x.find(seq / chunkSize)
	return x[i].e[seq%chunkSize]
}

func (x *seqIndex) remove(seq uint64) {
	i, _ := x.find(seq / chunkSize)
	c := (*x)[i]
	c.traits.counts[c.e[seq%chunkSize].state]--
	c.e[seq%chunkSize] = nil
	if c.traits.empty() && i < len(*x)-1 { // the last one will be needed again
		*x = slices.Delete(*x, i, i+1)
	}
}

// down calls yield for tasks from seq downwards, but for those of chunks that have none that is
// looked for, until it returns false or so many places were looked at, and returns the first seq it
// has not looked at, 0 when it has looked at all.
func (x seqIndex) down(seq uint64, places int, l *wanted, yield func(e *entry) bool) uint64 {
	i, ok := x.find(seq / chunkSize)
	if !ok {
		i--
	}
	for ; i >= 0; i-- {
		c := x[i]
		from := uint64(chunkSize - 1)
		if c.number == seq/chunkSize {
			from = seq % chunkSize
		}
		if !c.traits.may(l) {
			if places--; places < 0 {
				return c.number*chunkSize + from
			}
			continue
		}
		for at := int(from); at >= 0; at-- {
			this := c.number*chunkSize + uint64(at)
			if places--; places < 0 {
				return this
			}
			if e := c.e[at]; e != nil && !yield(e) {
				return this
			}
		}
	}
	return 0
}

const (
	defaultPage = 100
	maxPage     = 1000
)

// pageOf is the page that f asks for: its size, and where it begins.
func pageOf(f *tasks.Filter) (limit int, seq uint64, err error) {
	switch limit = f.Limit; {
	case limit == 0:
		limit = defaultPage
	case limit < 0 || limit > maxPage:
		return 0, 0, fmt.Errorf("%w: a page of %d tasks", tasks.ErrInvalid, f.Limit)
	}
	if f.Cursor == "" {
		return limit, math.MaxUint64, nil
	}
	if seq, err = strconv.ParseUint(f.Cursor, 36, 64); err != nil || seq == 0 {
		return 0, 0, fmt.Errorf("%w: cursor %.40q", tasks.ErrInvalid, f.Cursor)
	}
	return limit, seq, nil
}

// listStep is how many a listing looks at before it lets others in.
const listStep = 4096

// List is described by [tasks.Store].
func (s *Store) List(ctx context.Context, f *tasks.Filter) (page []*tasks.Task, next string,
	err error,
) {
	if f == nil {
		f = &tasks.Filter{}
	}
	limit, seq, err := pageOf(f)
	if err != nil {
		return nil, "", err
	}
	more, l := false, s.lookFor(f)
	for seq > 0 && !more {
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
		s.mu.Lock()
		if !s.anyLocked(f) {
			seq = 0
		}
		seq = s.bySeq.down(min(seq, s.seq), listStep, &l, func(e *entry) bool {
			if !e.matches(f) {
				return true
			}
			if more = len(page) == limit; more {
				return false
			}
			page = append(page, e.task())
			return true
		})
		s.mu.Unlock()
	}
	if more {
		next = strconv.FormatUint(seq, 36)
	}
	return page, next, nil
}

// anyLocked reports whether a task is in a state and queue that match.
func (s *Store) anyLocked(f *tasks.Filter) bool {
	if f.Queue != "" {
		q := s.queues[f.Queue]
		return q != nil && q.any(f.States)
	}
	for _, q := range s.queues {
		if q.any(f.States) {
			return true
		}
	}
	return false
}

func (q *queue) any(of []tasks.State) bool {
	for i, n := range q.count {
		if n > 0 && (len(of) == 0 || slices.Contains(of, states[i])) {
			return true
		}
	}
	return false
}

// matches is Filter.Matches.
func (e *entry) matches(f *tasks.Filter) bool {
	state := states[e.state]
	if f.Queue != "" && f.Queue != e.kind.q.name || f.Kind != "" && f.Kind != e.kind.name ||
		len(f.States) > 0 && !slices.Contains(f.States, state) ||
		!f.Before.IsZero() && state.Done() && !e.time(finished).Before(f.Before) {
		return false
	}
	if len(f.Metadata) > 0 && e.details == nil {
		return false
	}
	for name, value := range f.Metadata {
		if got, ok := e.details.metadata[name]; !ok || got != value {
			return false
		}
	}
	return true
}
