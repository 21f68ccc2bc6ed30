package filestore_test

import (
	"strconv"
	"syscall"
	"testing"

	"github.com/genropy/genro-asgi-go/tasks"
)

func TestStore_FullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=700k"); err != nil {
		t.Skipf("a small disk needs a mount: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	s := open(t, dir+"/s", small)
	n := fill(t, s, 0)
	cycle := func() { // the last quarter of the last segment is for this
		t.Helper()
		got, _, err := claim(t.Context(), s, claimOne())
		if err != nil || len(got) != 1 {
			t.Fatalf("claimed %d, %v", len(got), err)
		}
		if _, err := s.Update(t.Context(), got[0].ID, noon, finish); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		cycle()
	}
	if fill(t, s, n) != n {
		t.Error("a full store took a task")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir+"/s", small) // it opens while the disk is full
	if counts, err := s.Counts(t.Context()); err != nil || counts["q"][tasks.Queued] != n-20 || counts["q"][tasks.Succeeded] != 20 {
		t.Errorf("%d were acknowledged, 20 done; counts %v, %v", n, counts, err)
	}
	fill(t, s, n) // it may take some that fit now
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	addAgain(t, s, "again")
	for i := range 300 {
		addAgain(t, s, "more"+strconv.Itoa(i))
	}
	cycle()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir+"/s", small)
	for _, id := range []string{"0", strconv.Itoa(n - 1), "again", "more299"} {
		if _, err := s.Get(t.Context(), id); err != nil {
			t.Errorf("task %s: %v", id, err)
		}
	}
	_ = s.Close()
}
