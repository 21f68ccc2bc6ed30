package filestore

import (
	"bytes"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// FuzzRecovery gives the log's decoder records that have a right checksum and need not be any, with
// something that is no frame after them.
//
// Oracle: it returns ErrCorrupt or takes all records; what follows them changes nothing; every task
// that it reads is the same after it was written and read again; and a memory store refuses the
// tasks as ErrCorrupt or has all of them, and works.
func FuzzRecovery(f *testing.F) {
	at := time.Date(2026, 5, 1, 12, 0, 0, 1, time.UTC)
	whole := &tasks.Task{
		ID: "a", Kind: "k", Version: 2, Queue: "q", Priority: -3, Key: "key",
		Metadata: map[string]string{"tenant": "a"}, Payload: []byte(`{"n":1}`),
		Unique: &tasks.Unique{Key: "u", While: tasks.UniqueFor, Until: at},
		Retry:  tasks.RetryPolicy{Attempts: 3, Min: 1, Max: 2}, Timeout: 5, Delay: 6,
		State: tasks.Running, Created: at, RunAt: at, Started: at, Finished: at, Attempt: 2,
		Deaths: 1, Owner: "me", Fence: 9, LeaseUntil: at,
		Progress:   &tasks.Progress{Done: 1, Total: 2, Message: "m", Data: []byte("1"), At: at},
		Checkpoint: []byte("2"), Result: []byte("3"),
		Error: &tasks.TaskError{
			Kind: tasks.ErrorCrash, Message: "m", Detail: "d", Status: 500,
			Attempt: 1, Fence: 8, Started: time.Unix(1, 2).UTC(), At: time.Unix(3, 4).UTC(),
		},
		Seq: 1, Revision: 1,
	}
	added := appendChange([]byte{opReserve, 9}, opChange, whole, diff(&blank, whole))
	next := *whole
	next.Revision, next.State, next.Progress, next.Error = 2, tasks.Succeeded, nil, nil
	f.Add(added, appendChange(nil, opChange, &next, diff(whole, &next)), []byte("gTsk"))
	f.Add(added, []byte{opDelete, 1}, []byte{0, 0})
	f.Add([]byte{opReserve, 9}, []byte{opSeq, 7, opEnd, 2, 1, fileHead, 0}, []byte(nil))
	f.Add(appendChange(nil, opKeyHolder, whole, diff(&blank, whole)), []byte{opChange, 5, 3, 0},
		[]byte("x"))
	f.Add(added[:len(added)-1], []byte{0xff}, []byte{})
	f.Fuzz(func(t *testing.T, first, second, tail []byte) {
		log := append(sealed(first, 1), sealed(second, 2)...)
		clean := newReplay()
		end, err := clean.segment(log)
		switch {
		case err != nil && !errors.Is(err, ErrCorrupt):
			t.Fatalf("error %v, want ErrCorrupt", err)
		case err == nil && end != len(log) || end > len(log):
			t.Fatalf("it ends at %d of %d", end, len(log))
		}
		if _, ok := parseFrame(tail); !ok {
			r := newReplay()
			if again, err2 := r.segment(append(log, tail...)); again != end ||
				(err2 == nil) != (err == nil) || len(r.tasks) != len(clean.tasks) {
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
		if err == nil {
			work(t, clean)
		}
	})
}

// work restores what was read, and lists, claims, ends and deletes it.
func work(t *testing.T, r *replay) {
	t.Helper()
	r.expireLeases()
	mem, ctx, now := memstore.New(), t.Context(), time.Now()
	if err := r.restore(mem); err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Fatalf("restore: %v, want ErrCorrupt", err)
		}
		return
	}
	for _, task := range r.tasks {
		claim := &tasks.Claim{
			Queue: task.Queue, Kinds: map[string]int{task.Kind: task.Version},
			Max: 10, Owner: "me", Now: now, Lease: time.Minute, Claimed: func(*tasks.Task) {},
		}
		if _, err := mem.Claim(ctx, claim); err != nil {
			t.Fatal(err)
		}
	}
	page, _, err := mem.List(ctx, &tasks.Filter{Limit: 1000})
	if err != nil || len(page) != len(r.tasks) {
		t.Fatalf("%d of %d tasks are listed, %v", len(page), len(r.tasks), err)
	}
	for _, task := range page {
		ended, err := mem.Update(ctx, task.ID, now, func(t *tasks.Task) error {
			if t.State != tasks.Running {
				return tasks.ErrConflict
			}
			t.State = tasks.Failed
			return nil
		})
		if err == nil {
			task = &ended
		}
		if err := mem.Delete(ctx, task.ID, task.Revision, now); (err == nil) != task.State.Done() {
			t.Fatalf("delete %+v: %v", task, err)
		}
	}
	added := &tasks.Task{
		ID: "new", Kind: "k", Version: 1, Queue: "q", State: tasks.Queued,
		Created: now, RunAt: now,
	}
	if _, err := mem.Add(ctx, added, now, 0); err != nil && !errors.Is(err, tasks.ErrConflict) {
		t.Fatal(err)
	}
}

// TestRestore_RefusesWhatCannotBe has records with right checksums that no store has written.
func TestRestore_RefusesWhatCannotBe(t *testing.T) {
	task := func(change func(t *tasks.Task)) []byte {
		fine := &tasks.Task{
			ID: "a", Kind: "k", Version: 1, Queue: "q", State: tasks.Queued, Seq: 1,
			Revision: 1,
		}
		change(fine)
		return appendChange(nil, opChange, fine, diff(&blank, fine))
	}
	fine := task(func(*tasks.Task) {})
	for name, c := range map[string]struct {
		records []byte
		refused bool
	}{
		"a task":            {fine, false},
		"no ID":             {task(func(t *tasks.Task) { t.ID = "" }), true},
		"no kind":           {task(func(t *tasks.Task) { t.Kind = "" }), true},
		"no queue":          {task(func(t *tasks.Task) { t.Queue = "" }), true},
		"no state":          {task(func(t *tasks.Task) { t.State = "" }), true},
		"another state":     {task(func(t *tasks.Task) { t.State = "ended" }), true},
		"no sequence":       {task(func(t *tasks.Task) { t.Seq = 0 }), true},
		"a huge sequence":   {task(func(t *tasks.Task) { t.Seq = 1 << 63 }), true},
		"a huge fence":      {task(func(t *tasks.Task) { t.Fence = 1 << 63 }), true},
		"attempts below 0":  {task(func(t *tasks.Task) { t.Attempt = -1 }), true},
		"deaths below 0":    {task(func(t *tasks.Task) { t.Deaths = -1 }), true},
		"a timeout below 0": {task(func(t *tasks.Task) { t.Timeout = -1 }), true},
		"a delay below 0":   {task(func(t *tasks.Task) { t.Delay = -1 }), true},
		"retries below 0":   {task(func(t *tasks.Task) { t.Retry.Attempts = -1 }), true},
		"one ID twice":      {append(task(func(t *tasks.Task) { t.Seq = 2 }), fine...), true},
		"two tasks": {
			append(task(func(t *tasks.Task) { t.ID, t.Seq = "b", 2 }), fine...),
			false,
		},
		"a key of nobody": {
			appendChange(nil, opKeyHolder,
				&tasks.Task{
					ID: "a", Kind: "k", Queue: "q", State: tasks.Failed, Seq: 1,
					Revision: 1,
				}, fID|fKind|fQueue|fState), true,
		},
		"an end": {append(append([]byte{}, fine...), opEnd, 1, 1, fileHead, 0), true},
		"a huge reserve": {
			[]byte{opReserve, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, true,
		},
		"an unreserved fence": {task(func(t *tasks.Task) { t.Fence = 1 }), true},
		"a reserved fence": {
			append([]byte{opReserve, 1}, task(func(t *tasks.Task) { t.Fence = 1 })...), false,
		},
		"the year 0": {
			task(func(t *tasks.Task) { t.RunAt = time.Unix(minTime-1, 0) }),
			true,
		},
		"the year 10000": {
			task(func(t *tasks.Task) { t.RunAt = time.Unix(maxTime, 0) }),
			true,
		},
		"the year 9999": {
			task(func(t *tasks.Task) { t.RunAt = time.Unix(maxTime-1, 0) }),
			false,
		},
		"two names":    {metadata("x", "y"), false},
		"a name twice": {metadata("x", "x"), true},
		"a field of tomorrow": {
			[]byte{opChange, 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1},
			true,
		},
		"nobody's change":   {append(task(func(*tasks.Task) {}), opChange, 2, 2, 0), true},
		"a change left out": {append(task(func(*tasks.Task) {}), opChange, 1, 3, 0), true},
		"a change again":    {append(task(func(*tasks.Task) {}), opChange, 1, 1, 0), false},
		"another operation": {[]byte{99}, true},
		"a huge beginning": {
			[]byte{opSeq, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplay()
			_, err := r.segment(sealed(c.records, 1))
			if err == nil {
				err = r.restore(memstore.New())
			}
			if errors.Is(err, ErrCorrupt) != c.refused || (err != nil) != c.refused {
				t.Errorf("%v, want refused %v", err, c.refused)
			}
		})
	}
}

// metadata is the record of a task with two entries of metadata.
func metadata(names ...string) []byte {
	one := &tasks.Task{
		ID: "a", Kind: "k", Version: 1, Queue: "q", State: tasks.Queued, Seq: 1,
		Revision: 1,
	}
	b := appendChange(nil, opChange, one, diff(&blank, one)|fMetadata)
	b[len(b)-1] = byte(len(names)) // there were none, and nothing comes after them
	for _, name := range names {
		b = appendText(appendText(b, name), "v")
	}
	return b
}

// sealed is a frame of records.
func sealed(records []byte, number uint64) []byte {
	b := append(make([]byte, headSize), records...)
	sealFrame(b, nil, number, number-1)
	return b
}

// checkAgain writes a task, reads it and compares what is written then.
func checkAgain(t *testing.T, task *tasks.Task) {
	t.Helper()
	written := appendChange(nil, opChange, task, diff(&blank, task))
	r := newReplay()
	r.inSnapshot = true // of any revision
	if err := r.apply(written); err != nil || len(r.tasks) != 1 {
		t.Fatalf("%+v, read again: %d tasks, %v", task, len(r.tasks), err)
	}
	again := r.tasks[task.Seq]
	if !maps.Equal(task.Metadata, again.Metadata) {
		t.Fatalf("metadata %v, read again %v", task.Metadata, again.Metadata)
	}
	a, b := *task, *again
	a.Metadata, b.Metadata = nil, nil // it has no order
	if !bytes.Equal(appendChange(nil, opChange, &a, diff(&blank, &a)),
		appendChange(nil, opChange, &b, diff(&blank, &b))) {
		t.Fatalf("%+v, read again %+v", a, b)
	}
}
