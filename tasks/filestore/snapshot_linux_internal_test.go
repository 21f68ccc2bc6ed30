package filestore

import (
	"context"
	"errors"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestSnapshot_ThatIsNotWrittenIsNone: the system takes segments here and no snapshot, as a disk
// does that is full after its space was looked at.
func TestSnapshot_ThatIsNotWrittenIsNone(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, &Options{SegmentSize: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	for i := range 16 {
		task := queued(strconv.Itoa(i))
		task.Payload = []byte(`"` + strings.Repeat("x", 9<<10) + `"`)
		if _, err := s.Add(t.Context(), task, noon, 0); err != nil {
			t.Fatal(err)
		}
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	less := limit
	less.Cur = 100 << 10
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &less); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	here := s.log.pointLocked()
	s.mu.Unlock()
	_, err = s.compactor.writeSnapshot(here)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.EFBIG) {
		t.Errorf("it says %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.snap*")); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
