package filestore_test

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

// smallDisk is a directory on a disk of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a small disk needs a mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestStore_ADiskThatItFilledIsNotFullForEver fills a disk, and runs and deletes what is there, or
// cancels and deletes it, in the store that was open or another, again and again.
func TestStore_ADiskThatItFilledIsNotFullForEver(t *testing.T) {
	o := &filestore.Options{SegmentSize: 128 << 10}
	for name, opened := range map[string]func(t *testing.T, s *filestore.Store,
		dir string) *filestore.Store{
		"open": func(_ *testing.T, s *filestore.Store, _ string) *filestore.Store { return s },
		"opened again": func(t *testing.T, s *filestore.Store, dir string) *filestore.Store {
			if err := s.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
			return open(t, dir, o)
		},
	} {
		for _, run := range []bool{true, false} {
			t.Run(fmt.Sprint(name, ", run ", run), func(t *testing.T) {
				dir := smallDisk(t, "3m") + "/s"
				s := open(t, dir, o)
				first := 0
				for round := range 4 {
					for i := range first / 2 { // at least, though it may have to make room first
						addAgain(t, s, strconv.Itoa(i))
					}
					n := fill(t, s, first/2)
					if round == 0 {
						first = n
					}
					s = opened(t, s, dir)
					for i := range n {
						id := strconv.Itoa(i)
						if run {
							got, _, err := claim(t.Context(), s, claimOne())
							if err != nil || len(got) != 1 {
								t.Fatalf("round %d, of %d tasks the %dth: claimed %d, %v", round, n,
									i, len(got), err)
							}
							id = got[0].ID
						}
						done, err := s.Update(t.Context(), id, noon, func(t *tasks.Task) error {
							if t.State == tasks.Running {
								return finish(t)
							}
							t.State, t.Finished = tasks.Cancelled, noon
							return nil
						})
						if err != nil {
							t.Fatalf("round %d, of %d tasks the %dth: %v", round, n, i, err)
						}
						if err := s.Delete(t.Context(), id, done.Revision, noon); err != nil {
							t.Fatalf("round %d, of %d tasks the %dth: %v", round, n, i, err)
						}
					}
					s = opened(t, s, dir)
					addAgain(t, s, "again")
					done, err := s.Update(t.Context(), "again", noon,
						func(t *tasks.Task) error {
							t.State, t.Finished = tasks.Cancelled, noon
							return nil
						})
					if err != nil {
						t.Fatal(err)
					}
					if err := s.Delete(t.Context(), "again", done.Revision, noon); err != nil {
						t.Fatal(err)
					}
				}
				if err := s.Stop(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestStore_AFullDiskEndsWhatRunsForLong renews leases on a full disk, far more often than the rest
// of a segment has room for: what they leave in the log is worth nothing.
func TestStore_AFullDiskEndsWhatRunsForLong(t *testing.T) {
	s := open(t, smallDisk(t, "3m")+"/s", &filestore.Options{SegmentSize: 128 << 10})
	n := fill(t, s, 0)
	got, _, err := claim(t.Context(), s, claimOne())
	if err != nil || len(got) != 1 {
		t.Fatalf("claimed %d, %v", len(got), err)
	}
	for i := range 20_000 {
		_, err := s.Update(t.Context(), got[0].ID, noon, func(t *tasks.Task) error {
			t.LeaseUntil = noon.Add(time.Duration(i) * time.Second)
			return nil
		})
		if err != nil {
			t.Fatalf("with %d tasks, the %dth renewal: %v", n, i, err)
		}
	}
	if _, err := s.Update(t.Context(), got[0].ID, noon, finish); err != nil {
		t.Error(err)
	}
}

func TestStore_FullDisk(t *testing.T) {
	dir := smallDisk(t, "700k")
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
	n = fill(t, s, n) // what has ended needs no more room for that
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir+"/s", small) // it opens while the disk is full
	if counts, err := s.Counts(t.Context()); err != nil || counts["q"][tasks.Queued] != n-20 ||
		counts["q"][tasks.Succeeded] != 20 {
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
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir+"/s", small)
	for _, id := range []string{"0", strconv.Itoa(n - 1), "again", "more299"} {
		if _, err := s.Get(t.Context(), id); err != nil {
			t.Errorf("task %s: %v", id, err)
		}
	}
	_ = s.Stop(context.Background())
}
