package filestore

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
)

// checkSizes compares what the store counts of its files with what they are.
func checkSizes(t *testing.T, s *Store) {
	t.Helper()
	s.mu.Lock()
	making := s.segments.making
	s.mu.Unlock()
	if making != nil {
		<-making
	}
	entries, err := os.ReadDir(s.dir.path)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var used, log int64
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if n, ok := numberOf(e.Name(), logExt); ok {
			used += info.Size()
			if n >= s.compactor.snapshot.number && n <= s.segments.current.number {
				log += info.Size()
			}
		}
		if _, ok := numberOf(e.Name(), snapExt); ok {
			used += info.Size()
		}
	}
	if g := s.segments; g.used != used || g.size != log {
		t.Errorf("%d bytes are used and %d of the log, counted %d and %d", used, log, g.used,
			g.size)
	}
	if logged := s.compactor.logged; logged < 0 || logged > log {
		t.Errorf("%d bytes were logged into %d", logged, log)
	}
}

// TestSegments_CountsItsFiles fills segments, compacts them and opens the store again.
func TestSegments_CountsItsFiles(t *testing.T) {
	dir, o := t.TempDir(), &Options{SegmentSize: minSegment}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		for i := range 25 {
			task := queued(strconv.Itoa(100*round + i))
			task.Payload = []byte(`"` + strings.Repeat("x", 6000) + `"`)
			if _, err := s.Add(t.Context(), task, noon, 0); err != nil {
				t.Fatal(err)
			}
		}
		checkSizes(t, s)
		for range 2 { // the first may be one that had begun before the last task was added
			if err := s.compactNow(); err != nil {
				t.Fatal(err)
			}
		}
		checkSizes(t, s)
		s.mu.Lock()
		logged := s.compactor.logged
		s.mu.Unlock()
		if logged > minSegment {
			t.Errorf("%d bytes were logged since a compaction", logged)
		}
		if err := s.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(dir, o); err != nil {
			t.Fatal(err)
		}
		checkSizes(t, s)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}
