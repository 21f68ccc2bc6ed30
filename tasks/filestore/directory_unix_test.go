//go:build unix

package filestore_test

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

// A pipe that nobody writes to keeps whoever opens it for reading.
func TestOpen_WaitsForNoPipe(t *testing.T) {
	for _, name := range []string{
		"0000000000000001.log", "0000000000000002.log",
		"0000000000000001.snap", "0000000000000001.snap.ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp", "LOCK",
	} {
		dir := t.TempDir()
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := filestore.Open(dir, small)
		if (err != nil) != (name == "LOCK") {
			t.Errorf("%s: %v", name, err)
		}
		if s == nil {
			continue
		}
		fillSegments(t, s, 0, 100)
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if got := has(t, open(t, dir, small), 100); got != 100 {
			t.Errorf("%s: %d of 100 tasks are there", name, got)
		}
	}
}
