package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

// TestStore_BackupOnADiskOfAnySize: a backup is whole, or says that the disk is full and leaves
// nothing that opens as a store, wherever the disk ends.
func TestStore_BackupOnADiskOfAnySize(t *testing.T) {
	const n = 30
	s := open(t, t.TempDir(), small)
	fillSegments(t, s, 0, n)
	for pages := 1; pages < 1000; pages++ {
		dir := filepath.Join(smallDisk(t, fmt.Sprint(4*pages, "k")), "copy")
		err := s.Backup(t.Context(), dir)
		copied, openErr := filestore.Open(dir, small)
		switch {
		case err != nil && (!errors.Is(err, tasks.ErrStoreFull) || openErr == nil),
			err == nil && openErr != nil && !errors.Is(openErr, syscall.ENOSPC):
			t.Fatalf("%d pages: Backup: %v; Open: %v", pages, err, openErr)
		case openErr == nil:
			if got := has(t, copied, n); got != n {
				t.Errorf("%d pages: %d tasks of %d", pages, got, n)
			}
			if err := copied.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Fatal("no disk is large enough")
}
