package filestore

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// ref is a value that is not copied into what it belongs to: it comes before the byte at a place
// there. A value of a megabyte costs more to copy than the store's locks may be held, and nobody
// changes it.
type ref struct {
	at    int
	value []byte
}

// bigValue is from how many bytes on a value is not copied.
const bigValue = 32 << 10

// appendChange appends a record of op with the fields of mask.
func appendChange(b []byte, op byte, t *tasks.Task, mask fields) []byte {
	return appendChangeRefs(b, nil, op, t, mask)
}

// appendChangeRefs is appendChange, with large values in refs unless that is nil.
func appendChangeRefs(b []byte, refs *[]ref, op byte, t *tasks.Task, mask fields) []byte {
	b = append(b, op)
	b = binary.AppendUvarint(b, t.Seq)
	b = binary.AppendUvarint(b, t.Revision)
	b = binary.AppendUvarint(b, uint64(mask))
	b = appendTexts(b, t, mask)
	b = appendNumbers(b, t, mask)
	b = appendTimes(b, t, mask)
	b = appendValues(b, refs, t, mask)
	if mask.has(fFence) {
		b = binary.AppendUvarint(b, t.Fence)
	}
	if mask.has(fMetadata) {
		b = binary.AppendUvarint(b, uint64(len(t.Metadata)))
		for name, value := range t.Metadata {
			b = appendText(appendText(b, name), value)
		}
	}
	if mask.has(fRetry) {
		b = binary.AppendVarint(b, int64(t.Retry.Attempts))
		b = binary.AppendVarint(b, int64(t.Retry.Min))
		b = binary.AppendVarint(b, int64(t.Retry.Max))
	}
	return appendParts(b, t, mask)
}

func appendTexts(b []byte, t *tasks.Task, mask fields) []byte {
	for _, f := range [...]struct {
		field fields
		text  string
	}{
		{fID, t.ID},
		{fKind, t.Kind},
		{fQueue, t.Queue},
		{fKey, t.Key},
		{fState, string(t.State)},
		{fOwner, t.Owner},
	} {
		if mask.has(f.field) {
			b = appendText(b, f.text)
		}
	}
	return b
}

func appendNumbers(b []byte, t *tasks.Task, mask fields) []byte {
	for _, f := range [...]struct {
		field fields
		n     int64
	}{
		{fVersion, int64(t.Version)},
		{fPriority, int64(t.Priority)},
		{fTimeout, int64(t.Timeout)},
		{fDelay, int64(t.Delay)},
		{fAttempt, int64(t.Attempt)},
		{fDeaths, int64(t.Deaths)},
	} {
		if mask.has(f.field) {
			b = binary.AppendVarint(b, f.n)
		}
	}
	return b
}

func appendTimes(b []byte, t *tasks.Task, mask fields) []byte {
	for _, f := range [...]struct {
		field fields
		at    time.Time
	}{
		{fCreated, t.Created},
		{fRunAt, t.RunAt},
		{fStarted, t.Started},
		{fFinished, t.Finished},
		{fLease, t.LeaseUntil},
	} {
		if mask.has(f.field) {
			b = appendTime(b, f.at)
		}
	}
	return b
}

func appendValues(b []byte, refs *[]ref, t *tasks.Task, mask fields) []byte {
	for _, f := range [...]struct {
		field fields
		value []byte
	}{{fPayload, t.Payload}, {fCheckpoint, t.Checkpoint}, {fResult, t.Result}} {
		switch {
		case !mask.has(f.field):
		case refs != nil && len(f.value) >= bigValue:
			b = binary.AppendUvarint(b, uint64(len(f.value)))
			*refs = append(*refs, ref{len(b), f.value})
		default:
			b = appendText(b, f.value)
		}
	}
	return b
}

// appendParts appends what a task points to, with a byte before each that says whether it is there.
func appendParts(b []byte, t *tasks.Task, mask fields) []byte {
	there := func(field fields, is bool) bool {
		if !mask.has(field) {
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
		b = appendTime(appendTime(b, e.Started), e.At)
		var public []byte
		if e.Problem != nil {
			public = e.Problem.Encode()
		}
		b = appendText(b, public)
	}
	return b
}

func appendText[T string | []byte](b []byte, text T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, t.Unix()),
		uint64(t.Nanosecond()))
}
