package filestore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/tasks"
)

var fuzzNoon = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

// realRecords are the records of a store that has done all that there is to do, a frame each, as
// the log has them.
func realRecords(t testing.TB) (frames [][]byte) {
	t.Helper()
	dir := t.TempDir()
	s, err := Open(dir, &Options{SegmentSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	must := func(task *tasks.Task, err error) *tasks.Task {
		if err != nil {
			t.Fatal(err)
		}
		return task
	}
	for i, id := range []string{"a", "b", "c", "d"} {
		task := &tasks.Task{
			ID: id, Kind: "k", Version: 1, Queue: "q", Priority: -i, Key: "key",
			State: tasks.Queued, Created: fuzzNoon, RunAt: fuzzNoon, Payload: []byte(`{"n":[1,2]}`),
			Metadata: map[string]string{"tenant": id},
			Retry:    tasks.RetryPolicy{Attempts: 3, Max: time.Hour}, Timeout: time.Minute,
			Delay: time.Second,
			Unique: &tasks.Unique{
				Key: "u" + id, While: tasks.UniqueFor,
				Until: fuzzNoon.Add(time.Hour),
			},
		}
		must(s.Add(t.Context(), task, fuzzNoon, 0))
	}
	claimed := 0
	claim := tasks.Claim{
		Queue: "q", Max: 3, Owner: "me", Now: fuzzNoon, Lease: time.Minute,
		Kinds: map[string]int{"k": 1}, Claimed: func(*tasks.Task) { claimed++ },
	}
	if _, err := s.Claim(t.Context(), &claim); err != nil || claimed != 3 {
		t.Fatal(claimed, err)
	}
	change := func(id string, change func(t *tasks.Task)) *tasks.Task {
		task, err := s.Update(t.Context(), id, fuzzNoon,
			func(t *tasks.Task) error { change(t); return nil })
		return must(&task, err)
	}
	change("a", func(t *tasks.Task) {
		t.Progress = &tasks.Progress{
			Done: 1, Total: 2, Message: "m", Data: []byte("1"),
			At: fuzzNoon,
		}
	})
	change("a", func(t *tasks.Task) { t.Checkpoint = []byte("7") })
	change("b", func(t *tasks.Task) {
		t.State, t.Owner, t.LeaseUntil, t.Deaths = tasks.Queued, "", time.Time{}, 1
		t.Error = &tasks.TaskError{
			Kind: tasks.ErrorLost, Message: "m", Detail: "d", Status: 500,
			Attempt: 1, Fence: t.Fence,
		}
	})
	c := change("c", func(t *tasks.Task) {
		t.State, t.Owner, t.LeaseUntil, t.Finished, t.Result = tasks.Succeeded, "", time.Time{},
			fuzzNoon, []byte("9")
	})
	if err := errors.Join(s.Delete(t.Context(), "c", c.Revision, fuzzNoon),
		s.Stop(context.Background())); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "0000000000000001.log"))
	if err != nil {
		t.Fatal(err)
	}
	b = b[fileHead:]
	for f, ok := parseFrame(b); ok; f, ok = parseFrame(b) {
		frames = append(frames, bytes.Clone(f.records))
		b = b[f.size:]
	}
	if len(frames) < 8 {
		t.Fatalf("%d frames", len(frames))
	}
	return frames
}

// FuzzOpen opens a store whose log or snapshot has right checksums round what a fuzzer made of the
// records of a real one: in a frame, bytes are replaced by others.
//
// Oracle: Open returns ErrCorrupt, or a store that lists, claims, ends and closes, and that has the
// same tasks when it is opened again; neither takes more than 32 MiB of memory.
func FuzzOpen(f *testing.F) {
	frames := realRecords(f)
	for i, records := range frames {
		// as it is, without it, cut, twice, and one of four bytes another
		f.Add(byte(i), uint16(0), uint16(0), []byte(nil), i%2 == 0)
		f.Add(byte(i), uint16(0), uint16(len(records)), []byte(nil), false)
		f.Add(byte(i), uint16(len(records)/2), uint16(len(records)), []byte(nil), true)
		f.Add(byte(i), uint16(0), uint16(0), records, false)
		for at := i % 4; at < len(records); at += 4 {
			f.Add(byte(i), uint16(at), uint16(1), []byte{records[at] ^ 1<<(at%7)}, at%8 < 4)
		}
	}
	huge := binary.AppendUvarint([]byte{opChange, 1, 2}, uint64(fFence))
	// a fence far from those reserved
	f.Add(byte(3), uint16(0), uint16(0), binary.AppendUvarint(huge, 1<<40), false)
	f.Fuzz(func(t *testing.T, frame byte, from, size uint16, by []byte, snapshot bool) {
		all := append([][]byte(nil), frames...)
		i := int(frame) % len(all)
		a := min(int(from), len(all[i]))
		z := min(a+int(size), len(all[i]))
		all[i] = append(append(append([]byte(nil), all[i][:a]...), by...), all[i][z:]...)
		dir := t.TempDir()
		writeFrames(t, dir, all, snapshot)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		state, ok := openAndWork(t, dir)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 32<<20 {
			t.Fatalf("%d MiB were allocated", used>>20)
		}
		if !ok {
			return
		}
		if again, ok := openAndWork(t, dir); !ok || again != state {
			t.Fatalf("opened again, %v:\n%s\nand before\n%s", ok, again, state)
		}
	})
}

// writeFrames makes the frames a store's directory: its log, or its snapshot and an empty segment
// after that.
func writeFrames(t *testing.T, dir string, all [][]byte, snapshot bool) {
	name, b := "0000000000000001.log", head{store: storeID{1}, number: 1}.bytes(logExt)
	if snapshot {
		name, b = "0000000000000002.snap", head{store: storeID{1}, number: 2}.bytes(snapExt)
		log := append(head{store: storeID{1}, number: 2, before: 1}.bytes(logExt),
			make([]byte, 64<<10)...)
		if err := os.WriteFile(filepath.Join(dir, "0000000000000002.log"), log, 0o600); err != nil {
			t.Fatal(err)
		}
		r := newReplay()
		r.inSnapshot = true
		for _, records := range all {
			_ = r.apply(records) // for the number of records
		}
		all = append(all,
			append(binary.AppendUvarint(binary.AppendUvarint([]byte{opEnd}, r.records),
				uint64(len(all))), fileHead, 0))
	}
	for i, records := range all {
		b = append(b, sealed(records, uint64(i+1))...)
	}
	if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// openAndWork opens a store, uses it and closes it, and returns what it has then, as text. ok is
// false where it is corrupt.
func openAndWork(t *testing.T, dir string) (state string, ok bool) {
	t.Helper()
	s, err := Open(dir, &Options{SegmentSize: 64 << 10})
	if errors.Is(err, ErrCorrupt) {
		return "", false
	}
	if err != nil {
		t.Fatalf("%v, want ErrCorrupt", err)
	}
	now := fuzzNoon.Add(24 * time.Hour)
	page, _, err := s.List(t.Context(), &tasks.Filter{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range page {
		claim := &tasks.Claim{
			Queue: task.Queue, Kinds: map[string]int{task.Kind: task.Version},
			Max: 9, Owner: "me", Now: now, Lease: time.Minute, Claimed: func(*tasks.Task) {},
		}
		if _, err := s.Claim(t.Context(), claim); err != nil {
			t.Fatal(err)
		}
		_, err := s.Update(t.Context(), task.ID, now, func(t *tasks.Task) error {
			if t.State != tasks.Running {
				return tasks.ErrStale
			}
			t.State, t.Owner, t.LeaseUntil, t.Finished = tasks.Failed, "", time.Time{}, now
			return nil
		})
		if err != nil && !errors.Is(err, tasks.ErrStale) && !errors.Is(err, tasks.ErrConflict) {
			t.Fatal(err)
		}
	}
	if page, _, err = s.List(t.Context(), &tasks.Filter{Limit: 1000}); err != nil {
		t.Fatal(err)
	}
	for _, task := range page {
		task := *task
		if task.State == tasks.Running {
			task.LeaseUntil, task.Revision = time.Time{}, 0 // what opening changes
		}
		text, err := json.Marshal(struct{ *tasks.Task }{&task}, json.Deterministic(true))
		if err != nil {
			// a payload need not be JSON to the store
			text, _ = json.Marshal(task.View(), json.Deterministic(true))
		}
		state += string(text) + "\n"
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	return state, true
}
