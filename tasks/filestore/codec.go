package filestore

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// A record is an operation and what belongs to it. A change says what differs from the revision
// before: of a claim or an end few bytes.
const (
	opChange    = 1 // seq, revision, fields
	opDelete    = 2 // seq
	opKeyHolder = 3 // as opChange, in a snapshot: a deleted task that holds its unique key
	opReserve   = 4 // the fences up to it may have been handed out
	opSeq       = 5 // the highest seq so far, in a snapshot
	// of a snapshot: the number of its records, and where the log begins that goes with it and how
	// far it went when the snapshot was whole
	opEnd  = 6
	opNext = 7 // the segment in which the log goes on, in the last frame of a segment
)

// fields are some of a task's, as bits.
type fields uint64

const (
	fID fields = 1 << iota
	fKind
	fVersion
	fQueue
	fPriority
	fKey
	fMetadata
	fPayload
	fUnique
	fRetry
	fTimeout
	fState
	fCreated
	fRunAt
	fStarted
	fFinished
	fAttempt
	fDeaths
	fOwner
	fFence
	fLease
	fProgress
	fCheckpoint
	fResult
	fError
	fDelay
	fNone // the first bit that is no field
)

// heartbeat are the fields whose changes nobody waits for.
const heartbeat = fLease | fProgress

func (f fields) has(field fields) bool { return f&field != 0 }

// blank is what a new task differs from.
var blank tasks.Task

// deleteRecord appends the record of a deletion.
func deleteRecord(b []byte, seq uint64) []byte {
	return binary.AppendUvarint(append(b, opDelete), seq)
}

// The times that a task can have, in seconds of Unix: the years 1 to 9999, which JSON can write.
const (
	minTime = -62135596800
	maxTime = 253402300800
)

// checkTimes reports ErrInvalid for a task with a time that recovery would refuse.
func checkTimes(t *tasks.Task) error {
	fits := func(at time.Time) bool { return at.Unix() >= minTime && at.Unix() < maxTime }
	if fits(t.Created) && fits(t.RunAt) && fits(t.Started) && fits(t.Finished) &&
		fits(t.LeaseUntil) &&
		(t.Unique == nil || fits(t.Unique.Until)) && (t.Progress == nil || fits(t.Progress.At)) &&
		(t.Error == nil || fits(t.Error.Started) && fits(t.Error.At)) {
		return nil
	}
	return fmt.Errorf("%w: a time that is not in the years 1 to 9999", tasks.ErrInvalid)
}

// diff returns which fields differ.
func diff(a, b *tasks.Task) (mask fields) {
	set := func(differs bool, field fields) {
		if differs {
			mask |= field
		}
	}
	set(a.ID != b.ID, fID)
	set(a.Kind != b.Kind, fKind)
	set(a.Version != b.Version, fVersion)
	set(a.Queue != b.Queue, fQueue)
	set(a.Priority != b.Priority, fPriority)
	set(a.Key != b.Key, fKey)
	set(!maps.Equal(a.Metadata, b.Metadata), fMetadata)
	set(!same(a.Payload, b.Payload), fPayload)
	set(a.Unique != b.Unique && (a.Unique == nil || b.Unique == nil || *a.Unique != *b.Unique),
		fUnique)
	set(a.Retry != b.Retry, fRetry)
	set(a.Timeout != b.Timeout, fTimeout)
	set(a.State != b.State, fState)
	set(!a.Created.Equal(b.Created), fCreated)
	set(!a.RunAt.Equal(b.RunAt), fRunAt)
	set(!a.Started.Equal(b.Started), fStarted)
	set(!a.Finished.Equal(b.Finished), fFinished)
	set(a.Attempt != b.Attempt, fAttempt)
	set(a.Deaths != b.Deaths, fDeaths)
	set(a.Owner != b.Owner, fOwner)
	set(a.Fence != b.Fence, fFence)
	set(!a.LeaseUntil.Equal(b.LeaseUntil), fLease)
	set(a.Progress != b.Progress, fProgress)
	set(!same(a.Checkpoint, b.Checkpoint), fCheckpoint)
	set(!same(a.Result, b.Result), fResult)
	set(a.Error != b.Error, fError)
	set(a.Delay != b.Delay, fDelay)
	return mask
}

// same is bytes.Equal, quick for what is the same memory.
func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || bytes.Equal(a, b))
}
