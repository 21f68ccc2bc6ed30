package filestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// A record is an operation and what belongs to it. A change says what differs from the revision before: of a claim or an end few bytes.
const (
	opChange  = 1 // seq, revision, fields
	opDelete  = 2 // seq
	opKept    = 3 // as opChange, in a snapshot: a deleted task that holds its unique key
	opReserve = 4 // the fences up to it may have been handed out
	opSeq     = 5 // the highest seq so far, in a snapshot
	opEnd     = 6 // of a snapshot, with the number of its records
)

// The fields of a task, as bits.
const (
	fID = 1 << iota
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
	fNone // the first bit that is no field
)

// The times that a task can have, in seconds of Unix: the years 1 to 9999, which JSON can write.
const (
	minTime = -62135596800
	maxTime = 253402300800
)

// checkTimes reports ErrInvalid for a task with a time that recovery would refuse.
func checkTimes(t *tasks.Task) error {
	fits := func(at time.Time) bool { return at.Unix() >= minTime && at.Unix() < maxTime }
	if fits(t.Created) && fits(t.RunAt) && fits(t.Started) && fits(t.Finished) && fits(t.LeaseUntil) &&
		(t.Unique == nil || fits(t.Unique.Until)) && (t.Progress == nil || fits(t.Progress.At)) {
		return nil
	}
	return fmt.Errorf("%w: a time that is not in the years 1 to 9999", tasks.ErrInvalid)
}

// diff returns which fields differ.
func diff(a, b *tasks.Task) (mask uint64) {
	set := func(differs bool, field uint64) {
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
	set(a.Unique != b.Unique && (a.Unique == nil || b.Unique == nil || *a.Unique != *b.Unique), fUnique)
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
	return mask
}

// same is bytes.Equal, quick for what is the same memory.
func same(a, b []byte) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || bytes.Equal(a, b))
}

// appendChange appends a record of op with the fields of mask.
func appendChange(b []byte, op byte, t *tasks.Task, mask uint64) []byte {
	b = append(b, op)
	b = binary.AppendUvarint(b, t.Seq)
	b = binary.AppendUvarint(b, t.Revision)
	b = binary.AppendUvarint(b, mask)
	has := func(field uint64) bool { return mask&field != 0 }
	for _, f := range [...]struct {
		field uint64
		text  string
	}{{fID, t.ID}, {fKind, t.Kind}, {fQueue, t.Queue}, {fKey, t.Key}, {fState, string(t.State)}, {fOwner, t.Owner}} {
		if has(f.field) {
			b = appendText(b, f.text)
		}
	}
	for _, f := range [...]struct {
		field uint64
		n     int64
	}{
		{fVersion, int64(t.Version)},
		{fPriority, int64(t.Priority)},
		{fTimeout, int64(t.Timeout)},
		{fAttempt, int64(t.Attempt)},
		{fDeaths, int64(t.Deaths)},
	} {
		if has(f.field) {
			b = binary.AppendVarint(b, f.n)
		}
	}
	for _, f := range [...]struct {
		field uint64
		at    time.Time
	}{{fCreated, t.Created}, {fRunAt, t.RunAt}, {fStarted, t.Started}, {fFinished, t.Finished}, {fLease, t.LeaseUntil}} {
		if has(f.field) {
			b = appendTime(b, f.at)
		}
	}
	for _, f := range [...]struct {
		field uint64
		value []byte
	}{{fPayload, t.Payload}, {fCheckpoint, t.Checkpoint}, {fResult, t.Result}} {
		if has(f.field) {
			b = appendText(b, f.value)
		}
	}
	if has(fFence) {
		b = binary.AppendUvarint(b, t.Fence)
	}
	if has(fMetadata) {
		b = binary.AppendUvarint(b, uint64(len(t.Metadata)))
		for name, value := range t.Metadata {
			b = appendText(appendText(b, name), value)
		}
	}
	if has(fRetry) {
		b = binary.AppendVarint(b, int64(t.Retry.Attempts))
		b = binary.AppendVarint(b, int64(t.Retry.Min))
		b = binary.AppendVarint(b, int64(t.Retry.Max))
	}
	return appendParts(b, t, has)
}

// appendParts appends what a task points to, with a byte before each that says whether it is there.
func appendParts(b []byte, t *tasks.Task, has func(field uint64) bool) []byte {
	there := func(field uint64, is bool) bool {
		if !has(field) {
			return false
		}
		if !is {
			b = append(b, 0)
			return false
		}
		b = append(b, 1)
		return true
	}
	if u := t.Unique; there(fUnique, u != nil) {
		b = appendTime(appendText(appendText(b, u.Key), string(u.While)), u.Until)
	}
	if p := t.Progress; there(fProgress, p != nil) {
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(p.Done))
		b = binary.BigEndian.AppendUint64(b, math.Float64bits(p.Total))
		b = appendTime(appendText(appendText(b, p.Message), string(p.Data)), p.At)
	}
	if e := t.Error; there(fError, e != nil) {
		b = appendText(appendText(appendText(b, string(e.Kind)), e.Message), e.Detail)
		b = binary.AppendVarint(b, int64(e.Status))
		b = binary.AppendVarint(b, int64(e.Attempt))
		b = binary.AppendUvarint(b, e.Fence)
	}
	return b
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, t.Unix()), uint64(t.Nanosecond())) //nolint:gosec // 0 to 999,999,999
}

var errRecord = errors.New("filestore: a record that is none")

// reader reads what was appended. After its first error it reads zeros.
type reader struct {
	b     []byte
	err   error
	names map[string]string // one string for each that is often the same
}

func (r *reader) fail() {
	r.b, r.err = nil, errRecord
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

// count is a number that counts up for ever, which no store has brought as far as half of what it can hold.
func (r *reader) count() uint64 {
	n := r.uint()
	if n > 1<<62 {
		r.fail()
		return 0
	}
	return n
}

func (r *reader) int() int64 {
	n, size := binary.Varint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) raw() []byte {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) text() string { return string(r.raw()) }

// value is nil when it is empty.
func (r *reader) value() []byte {
	if v := r.raw(); len(v) > 0 {
		return bytes.Clone(v)
	}
	return nil
}

// name is a text that many tasks have.
func (r *reader) name() string {
	v := r.raw()
	if name, ok := r.names[string(v)]; ok {
		return name
	}
	name := string(v)
	if len(r.names) < 10_000 {
		r.names[name] = name
	}
	return name
}

func (r *reader) time() time.Time {
	sec, ns := r.int(), r.uint()
	if sec < minTime || sec >= maxTime || ns >= 1e9 {
		r.fail()
		return time.Time{}
	}
	return time.Unix(sec, int64(ns)).UTC() //nolint:gosec // under 1e9
}

func (r *reader) float() float64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := math.Float64frombits(binary.BigEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

// fields reads what appendChange wrote after the revision into t.
func (r *reader) fields(t *tasks.Task) {
	mask := r.uint()
	if mask >= fNone {
		r.fail()
		return
	}
	has := func(field uint64) bool { return mask&field != 0 }
	for _, f := range [...]struct {
		field uint64
		text  *string
		read  func() string
	}{{fID, &t.ID, r.text}, {fKind, &t.Kind, r.name}, {fQueue, &t.Queue, r.name}, {fKey, &t.Key, r.name}, {fState, (*string)(&t.State), r.name}, {fOwner, &t.Owner, r.name}} {
		if has(f.field) {
			*f.text = f.read()
		}
	}
	for _, f := range [...]struct {
		field uint64
		n     *int
	}{{fVersion, &t.Version}, {fPriority, &t.Priority}} {
		if has(f.field) {
			*f.n = int(r.int())
		}
	}
	if has(fTimeout) {
		t.Timeout = time.Duration(r.int())
	}
	if has(fAttempt) {
		t.Attempt = int(r.int())
	}
	if has(fDeaths) {
		t.Deaths = int(r.int())
	}
	for _, f := range [...]struct {
		field uint64
		at    *time.Time
	}{{fCreated, &t.Created}, {fRunAt, &t.RunAt}, {fStarted, &t.Started}, {fFinished, &t.Finished}, {fLease, &t.LeaseUntil}} {
		if has(f.field) {
			*f.at = r.time()
		}
	}
	if has(fPayload) {
		t.Payload = r.value()
	}
	if has(fCheckpoint) {
		t.Checkpoint = r.value()
	}
	if has(fResult) {
		t.Result = r.value()
	}
	if has(fFence) {
		t.Fence = r.count()
	}
	if has(fMetadata) {
		t.Metadata = nil
		n := r.uint()
		for i := n; i > 0 && r.err == nil; i-- {
			if t.Metadata == nil {
				t.Metadata = map[string]string{}
			}
			name := r.name()
			t.Metadata[name] = r.text()
		}
		if r.err == nil && uint64(len(t.Metadata)) != n {
			r.fail() // a name twice
		}
	}
	if has(fRetry) {
		t.Retry = tasks.RetryPolicy{Attempts: int(r.int()), Min: time.Duration(r.int()), Max: time.Duration(r.int())}
	}
	r.parts(t, has)
}

func (r *reader) parts(t *tasks.Task, has func(field uint64) bool) {
	if has(fUnique) {
		if t.Unique = nil; r.byte() == 1 {
			t.Unique = &tasks.Unique{Key: r.text(), While: tasks.UniqueWhile(r.name()), Until: r.time()}
		}
	}
	if has(fProgress) {
		if t.Progress = nil; r.byte() == 1 {
			t.Progress = &tasks.Progress{Done: r.float(), Total: r.float(), Message: r.text(), Data: r.value(), At: r.time()}
		}
	}
	if has(fError) {
		if t.Error = nil; r.byte() == 1 {
			t.Error = &tasks.TaskError{
				Kind: tasks.ErrorKind(r.name()), Message: r.text(), Detail: r.text(),
				Status: int(r.int()), Attempt: int(r.int()), Fence: r.uint(),
			}
		}
	}
}
