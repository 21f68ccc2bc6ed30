package filestore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

// fileHead is the size of what a file begins with before its frames.
const fileHead = 40

// history makes a short one and returns the log's bytes and how long it was after each acknowledged
// step.
func history(t *testing.T) (log []byte, ends []int) {
	dir := t.TempDir()
	s := open(t, dir, small)
	path := filepath.Join(dir, "0000000000000001.log")
	end := func() {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		n := len(b)
		for n > 0 && b[n-1] == 0 {
			n--
		}
		log, ends = b, append(ends, n)
	}
	end()
	for i := range 4 {
		cycle(t, s, strconv.Itoa(i))
		end()
	}
	return log[:ends[4]+8], ends // some zeros after the last
}

// reopen opens a directory with that log and nothing else.
func reopen(t *testing.T, log []byte) (*filestore.Store, error) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "0000000000000001.log"), log, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := filestore.Open(dir, small)
	if err == nil {
		t.Cleanup(func() { _ = s.Stop(context.Background()) })
	}
	return s, err
}

func TestOpen_AfterACutAtEveryByte(t *testing.T) {
	log, ends := history(t)
	for cut := range log {
		s, err := reopen(t, log[:cut])
		if cut > 0 && cut < fileHead {
			// a store renames a segment to its name when all of it is on the disk
			if !errors.Is(err, filestore.ErrCorrupt) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		for i := range 4 {
			got, err := s.Get(t.Context(), strconv.Itoa(i))
			switch {
			case err != nil && !errors.Is(err, tasks.ErrNotFound):
				t.Fatalf("cut at %d: %v", cut, err)
			case cut >= ends[i+1] &&
				(err != nil || got.State != tasks.Succeeded || string(got.Result) != `"done"`):
				t.Fatalf("cut at %d: task %d, acknowledged at %d, is %+v, %v", cut, i, ends[i+1],
					got, err)
			case cut <= ends[i] && err == nil:
				t.Fatalf("cut at %d: task %d is there, which began at %d", cut, i, ends[i])
			}
		}
		if cut%16 == 0 {
			cycle(t, s, "next") // it goes on
		}
		if err := s.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpen_AfterDamageAtEveryByte(t *testing.T) {
	log, ends := history(t)
	refused := 0
	for at := range ends[4] {
		damaged := append([]byte(nil), log...)
		damaged[at] ^= 0x55
		s, err := reopen(t, damaged)
		if err != nil {
			if !errors.Is(err, filestore.ErrCorrupt) {
				t.Fatalf("damage at %d: %v", at, err)
			}
			refused++
			continue
		}
		// Only what no later frame vouches for may be taken for a torn tail: the last run at most.
		for i := range 3 {
			if got, err := s.Get(t.Context(), strconv.Itoa(i)); err != nil ||
				got.State != tasks.Succeeded {
				t.Fatalf("damage at %d: task %d is lost in silence: %+v, %v", at, i, got, err)
			}
		}
		_ = s.Stop(context.Background())
	}
	if refused < ends[3] {
		t.Errorf("%d of %d damages were refused, want those of the first three runs, %d bytes",
			refused, ends[4], ends[3])
	}
}

func TestOpen_RefusesADamagedSnapshot(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small)
	for i := range 500 {
		cycleOf(t, s, strconv.Itoa(i), 1000)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	snaps, _ := filepath.Glob(filepath.Join(dir, "*.snap"))
	if len(snaps) != 1 {
		t.Fatalf("%d snapshots", len(snaps))
	}
	b, err := os.ReadFile(snaps[0])
	if err != nil {
		t.Fatal(err)
	}
	for what, damaged := range map[string][]byte{
		"cut": b[:len(b)-1], "cut far": b[:len(b)/2],
		"empty": nil, "changed": append([]byte{'x'}, b[1:]...),
	} {
		if err := os.WriteFile(snaps[0], damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := filestore.Open(dir, small); !errors.Is(err, filestore.ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := os.WriteFile(snaps[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
	if err := os.Remove(logs[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := filestore.Open(dir, small); !errors.Is(err, filestore.ErrCorrupt) {
		t.Errorf("without its first segment: %v", err)
	}
}

// TestOpen_RemovesWhatACompactionLeft: a process that is killed while it compacts leaves a file as
// large as all its tasks.
func TestOpen_RemovesWhatACompactionLeft(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small)
	cycle(t, s, "a")
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(dir, "0000000000000005.snap.ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp")
	others := []string{filepath.Join(dir, "notes.tmp"), filepath.Join(dir, "0000000000000005.tmp")}
	for _, path := range append([]string{left}, others...) {
		if err := os.WriteFile(path, make([]byte, 1<<10), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, small)
	if _, err := s.Get(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what the compaction left: %v", err)
	}
	for _, other := range others {
		if _, err := os.Stat(other); err != nil {
			t.Errorf("somebody else's file: %v", err)
		}
	}
}

// TestOpen_AfterACutAtASegmentsBegin: a power cut may leave a segment with nothing in it.
func TestOpen_AfterACutAtASegmentsBegin(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small)
	second := filepath.Join(dir, "0000000000000002.log")
	n := 0
	for frames := false; !frames; n++ {
		cycleOf(t, s, strconv.Itoa(n), 2000)
		b, err := os.ReadFile(second)
		frames = err == nil && len(b) > fileHead && b[fileHead] != 0
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(second, fileHead); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, small)
	if got := has(t, s, n); got < n-2 { // those of the second segment
		t.Errorf("%d of %d tasks are there", got, n)
	}
}
