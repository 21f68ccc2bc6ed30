package filestore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

func batchOf(n, size int) (all []*tasks.Task) {
	for i := range n {
		payload := append(append([]byte{'"'}, bytes.Repeat([]byte{'x'}, size)...), '"')
		all = append(all,
			&tasks.Task{
				ID: strconv.Itoa(i), Kind: "k", Version: 1, Queue: "q", State: tasks.Queued,
				Payload: payload,
			})
	}
	return all
}

// A batch takes one sync, however many tasks it has.
func TestStore_AddManySyncsOnce(t *testing.T) {
	var syncs atomic.Int32
	s, err := openWith(t.TempDir(), nil, func(f *os.File) error {
		syncs.Add(1)
		return syncData(f)
	})
	if err != nil {
		t.Fatal(err)
	}
	before := syncs.Load()
	if _, err := s.AddMany(t.Context(), batchOf(2000, 10), time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	if n := syncs.Load() - before; n != 1 {
		t.Errorf("%d syncs", n)
	}
	large := batchOf(1, 17<<20)
	large[0].ID = "large"
	if _, err := s.AddMany(t.Context(), large, time.Now(), nil); !errors.Is(err,
		tasks.ErrTooLarge) {
		t.Errorf("a batch larger than a segment: %v", err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestOpen_HasAllOfABatchOrNothing cuts the log within a batch, with values that are written by
// themselves among it.
func TestOpen_HasAllOfABatchOrNothing(t *testing.T) {
	dir, o := t.TempDir(), &Options{SegmentSize: 256 << 10}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	ts := append(batchOf(40, 5), batchOf(3, 2*bigValue)...)
	for i, task := range ts {
		task.ID = strconv.Itoa(i)
	}
	if _, err := s.AddMany(t.Context(), ts, time.Now(), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, fileName(1, logExt)))
	if err != nil {
		t.Fatal(err)
	}
	end := len(bytes.TrimRight(log, "\x00"))
	seen := map[int]int{}
	for cut := fileHead; cut <= end+8; cut += 1 + cut/40 {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName(1, logExt)), log[:cut], 0o600); err !=
			nil {
			t.Fatal(err)
		}
		s, err := Open(dir, o)
		if err != nil {
			t.Fatalf("cut at %d of %d: %v", cut, end, err)
		}
		counts, err := s.Counts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n := counts["q"][tasks.Queued]
		if seen[n]++; n != 0 && n != len(ts) {
			t.Errorf("cut at %d: %d of %d tasks", cut, n, len(ts))
		}
		if err := s.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if seen[0] == 0 {
		t.Error("no cut has lost the batch")
	}
	s, err = Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range ts {
		if got, err := s.Get(t.Context(), strconv.Itoa(i)); err != nil ||
			!bytes.Equal(got.Payload, want.Payload) {
			t.Errorf("task %d: %v", i, err)
		}
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshot_CountsItsRecords has snapshots of right checksums whose end tells of more or fewer
// records, as when a frame was left out.
func TestSnapshot_CountsItsRecords(t *testing.T) {
	one := &tasks.Task{
		ID: "a", Kind: "k", Version: 1, Queue: "q", State: tasks.Queued, Seq: 1,
		Revision: 1,
	}
	records := appendChange(nil, opChange, one, diff(&blank, one))
	for n := range byte(4) {
		r := newReplay()
		err := r.snapshot(sealed(append(append([]byte(nil), records...), opEnd, n, 1, fileHead, 0),
			1))
		if (err != nil) != (n != 1) || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("an end of %d records after one: %v", n, err)
		}
	}
}
