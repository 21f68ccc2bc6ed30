package filestore

import (
	"bytes"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// FuzzRecovery gives the log's decoder records that have a right checksum and need not be any, with something that is no frame after them.
//
// Oracle: it returns ErrCorrupt or takes all records; what follows them changes nothing; and every task that it reads is the same after it was
// written and read again.
func FuzzRecovery(f *testing.F) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 1, time.UTC)
	whole := &tasks.Task{
		ID: "a", Kind: "k", Version: 2, Queue: "q", Priority: -3, Key: "key", Metadata: map[string]string{"tenant": "a"}, Payload: []byte(`{"n":1}`),
		Unique: &tasks.Unique{Key: "u", While: tasks.UniqueFor, Until: at}, Retry: tasks.RetryPolicy{Attempts: 3, Min: 1, Max: 2}, Timeout: 5,
		State: tasks.Running, Created: at, RunAt: at, Started: at, Finished: at, Attempt: 2, Deaths: 1, Owner: "me", Fence: 9, LeaseUntil: at,
		Progress: &tasks.Progress{Done: 1, Total: 2, Message: "m", Data: []byte("1"), At: at}, Checkpoint: []byte("2"), Result: []byte("3"),
		Error: &tasks.TaskError{Kind: tasks.ErrorCrash, Message: "m", Detail: "d", Status: 500, Attempt: 1, Fence: 8}, Seq: 1, Revision: 1,
	}
	added := appendChange(nil, opChange, whole, diff(&blank, whole))
	next := *whole
	next.Revision, next.State, next.Progress, next.Error = 2, tasks.Succeeded, nil, nil
	f.Add(added, appendChange(nil, opChange, &next, diff(whole, &next)), []byte("gTsk"))
	f.Add(added, []byte{opDelete, 1}, []byte{0, 0})
	f.Add([]byte{opReserve, 9}, []byte{opSeq, 7, opEnd, 2, 1}, []byte(nil))
	f.Add(appendChange(nil, opKept, whole, diff(&blank, whole)), []byte{opChange, 5, 3, 0}, []byte("x"))
	f.Add(added[:len(added)-1], []byte{0xff}, []byte{})
	f.Fuzz(func(t *testing.T, first, second, tail []byte) {
		log := append(sealed(first, 1), sealed(second, 2)...)
		clean := newRecovery()
		end, err := clean.log(log)
		switch {
		case err != nil && !errors.Is(err, ErrCorrupt):
			t.Fatalf("error %v, want ErrCorrupt", err)
		case err == nil && end != len(log) || end > len(log):
			t.Fatalf("it ends at %d of %d", end, len(log))
		}
		if _, ok := parseFrame(tail); !ok {
			r := newRecovery()
			if again, err2 := r.log(append(log, tail...)); again != end || (err2 == nil) != (err == nil) || len(r.tasks) != len(clean.tasks) {
				t.Fatalf("with a tail it ends at %d, %v; without at %d, %v", again, err2, end, err)
			}
		}
		for seq, task := range clean.tasks {
			if task.Seq != seq {
				t.Fatalf("task %d is at %d", task.Seq, seq)
			}
			if err == nil { // else one may be half read
				checkAgain(t, task)
			}
		}
	})
}

// sealed is a frame of records.
func sealed(records []byte, number uint64) []byte {
	b := append(make([]byte, headSize), records...)
	sealFrame(b, number, number-1)
	return b
}

// checkAgain writes a task, reads it and compares what is written then.
func checkAgain(t *testing.T, task *tasks.Task) {
	t.Helper()
	written := appendChange(nil, opChange, task, diff(&blank, task))
	r := newRecovery()
	r.full = true // of any revision
	if err := r.apply(written); err != nil || len(r.tasks) != 1 {
		t.Fatalf("%+v, read again: %d tasks, %v", task, len(r.tasks), err)
	}
	again := r.tasks[task.Seq]
	if !maps.Equal(task.Metadata, again.Metadata) {
		t.Fatalf("metadata %v, read again %v", task.Metadata, again.Metadata)
	}
	a, b := *task, *again
	a.Metadata, b.Metadata = nil, nil // it has no order
	if !bytes.Equal(appendChange(nil, opChange, &a, diff(&blank, &a)), appendChange(nil, opChange, &b, diff(&blank, &b))) {
		t.Fatalf("%+v, read again %+v", a, b)
	}
}
