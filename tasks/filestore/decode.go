package filestore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
)

var errRecord = errors.New("filestore: a record that is none")

// decoder reads records. After its first error it reads zeros.
type decoder struct {
	b     []byte
	err   error
	names map[string]string // one string for each that is often the same
}

func (d *decoder) fail() {
	d.b, d.err = nil, errRecord
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.fail()
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

// count is a number that counts up for ever, which no store has brought as far as half of what it
// can hold.
func (d *decoder) count() uint64 {
	n := d.uint()
	if n > 1<<62 {
		d.fail()
		return 0
	}
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) raw() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) text() string { return string(d.raw()) }

func (d *decoder) problem() *problem.Error {
	raw := d.raw()
	if len(raw) == 0 {
		return nil
	}
	p := new(problem.Error)
	if err := json.Unmarshal(raw, p); err != nil {
		d.fail()
	}
	return p
}

// value is nil when it is empty.
func (d *decoder) value() []byte {
	if v := d.raw(); len(v) > 0 {
		return bytes.Clone(v)
	}
	return nil
}

// name is a text that many tasks have.
func (d *decoder) name() string {
	v := d.raw()
	if name, ok := d.names[string(v)]; ok {
		return name
	}
	name := string(v)
	if len(d.names) < 10_000 {
		d.names[name] = name
	}
	return name
}

func (d *decoder) time() time.Time {
	sec, ns := d.int(), d.uint()
	if sec < minTime || sec >= maxTime || ns >= 1e9 {
		d.fail()
		return time.Time{}
	}
	return time.Unix(sec, int64(ns)).UTC()
}

func (d *decoder) float() float64 {
	if len(d.b) < 8 {
		d.fail()
		return 0
	}
	v := math.Float64frombits(binary.BigEndian.Uint64(d.b))
	d.b = d.b[8:]
	return v
}

// mask are the fields that are read next.
func (d *decoder) mask() fields {
	mask, _ := binary.Uvarint(d.b)
	return fields(mask)
}

// fields reads what appendChange wrote after the revision into t.
func (d *decoder) fields(t *tasks.Task) {
	mask := fields(d.uint())
	if mask >= fNone {
		d.fail()
		return
	}
	d.texts(t, mask)
	d.numbers(t, mask)
	d.times(t, mask)
	if mask.has(fPayload) {
		t.Payload = d.value()
	}
	if mask.has(fCheckpoint) {
		t.Checkpoint = d.value()
	}
	if mask.has(fResult) {
		t.Result = d.value()
	}
	if mask.has(fFence) {
		t.Fence = d.count()
	}
	if mask.has(fMetadata) {
		t.Metadata = d.metadata()
	}
	if mask.has(fRetry) {
		t.Retry = tasks.RetryPolicy{
			Attempts: int(d.int()), Min: time.Duration(d.int()),
			Max: time.Duration(d.int()),
		}
	}
	d.parts(t, mask)
}

func (d *decoder) texts(t *tasks.Task, mask fields) {
	for _, f := range [...]struct {
		field fields
		text  *string
		read  func() string
	}{
		{fID, &t.ID, d.text},
		{fKind, &t.Kind, d.name},
		{fQueue, &t.Queue, d.name},
		{fKey, &t.Key, d.name},
		{fState, (*string)(&t.State), d.name},
		{fOwner, &t.Owner, d.name},
	} {
		if mask.has(f.field) {
			*f.text = f.read()
		}
	}
}

func (d *decoder) numbers(t *tasks.Task, mask fields) {
	if mask.has(fVersion) {
		t.Version = int(d.int())
	}
	if mask.has(fPriority) {
		t.Priority = int(d.int())
	}
	if mask.has(fTimeout) {
		t.Timeout = time.Duration(d.int())
	}
	if mask.has(fDelay) {
		t.Delay = time.Duration(d.int())
	}
	if mask.has(fAttempt) {
		t.Attempt = int(d.int())
	}
	if mask.has(fDeaths) {
		t.Deaths = int(d.int())
	}
}

func (d *decoder) times(t *tasks.Task, mask fields) {
	for _, f := range [...]struct {
		field fields
		at    *time.Time
	}{
		{fCreated, &t.Created},
		{fRunAt, &t.RunAt},
		{fStarted, &t.Started},
		{fFinished, &t.Finished},
		{fLease, &t.LeaseUntil},
	} {
		if mask.has(f.field) {
			*f.at = d.time()
		}
	}
}

// metadata is nil when it is empty. No name comes twice.
func (d *decoder) metadata() map[string]string {
	var metadata map[string]string
	n := d.uint()
	for i := n; i > 0 && d.err == nil; i-- {
		if metadata == nil {
			metadata = map[string]string{}
		}
		name := d.name()
		metadata[name] = d.text()
	}
	if d.err == nil && uint64(len(metadata)) != n {
		d.fail()
	}
	return metadata
}

// parts reads what appendParts wrote.
func (d *decoder) parts(t *tasks.Task, mask fields) {
	if mask.has(fUnique) {
		if t.Unique = nil; d.byte() == 1 {
			t.Unique = &tasks.Unique{
				Key: d.text(), While: tasks.UniqueWhile(d.name()),
				Until: d.time(),
			}
		}
	}
	if mask.has(fProgress) {
		if t.Progress = nil; d.byte() == 1 {
			t.Progress = &tasks.Progress{
				Done: d.float(), Total: d.float(), Message: d.text(),
				Data: d.value(), At: d.time(),
			}
		}
	}
	if mask.has(fError) {
		if t.Error = nil; d.byte() == 1 {
			t.Error = d.taskError()
		}
	}
}

func (d *decoder) taskError() *tasks.TaskError {
	return &tasks.TaskError{
		Kind: tasks.ErrorKind(d.name()), Message: d.text(), Detail: d.text(),
		Status: int(d.int()), Attempt: int(d.int()), Fence: d.uint(), Started: d.time(),
		At: d.time(), Problem: d.problem(),
	}
}
