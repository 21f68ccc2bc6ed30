package filestore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

// fillSegments adds tasks until the log has gone through several segments.
func fillSegments(t *testing.T, s *filestore.Store, from, n int) {
	t.Helper()
	for i := from; i < from+n; i++ {
		cycleOf(t, s, strconv.Itoa(i), 2000)
	}
}

// has counts which of the tasks from 0 up to n have succeeded.
func has(t *testing.T, s *filestore.Store, n int) (done int) {
	t.Helper()
	for i := range n {
		if got, err := s.Get(t.Context(), strconv.Itoa(i)); err == nil &&
			got.State == tasks.Succeeded {
			done++
		}
	}
	return done
}

func TestStore_StaysWhereItWasOpened(t *testing.T) {
	home := t.TempDir()
	t.Chdir(home)
	s := open(t, "relative", small)
	t.Chdir(t.TempDir())
	fillSegments(t, s, 0, 150)
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	again := open(t, filepath.Join(home, "relative"), small)
	if got := has(t, again, 150); got != 150 {
		t.Errorf("%d of 150 tasks are in the directory", got)
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("where the program went there are %v, %v", left, err)
	}
}

// Somebody removes LOCK, or puts another there, as if it had been left by a process that is gone.
func TestStore_ItsLockHoldsWithoutTheFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small)
	path := filepath.Join(dir, "LOCK")
	for _, replace := range []func() error{
		func() error { return os.Remove(path) },
		func() error { return os.WriteFile(path, nil, 0o600) },
	} {
		if err := replace(); err != nil {
			t.Fatal(err)
		}
		if _, err := filestore.Open(dir, small); !errors.Is(err, filestore.ErrLocked) {
			t.Errorf("a second opening: %v", err)
		}
	}
	fillSegments(t, s, 0, 60)
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := has(t, open(t, dir, small), 60); got != 60 {
		t.Errorf("%d of 60 tasks are there", got)
	}
}

// TestStore_EndsWhenItsDirectoryIsAnothers: what the first store acknowledged would be where nobody
// looks for it.
func TestStore_EndsWhenItsDirectoryIsAnothers(t *testing.T) {
	for name, use := range map[string]func(s *filestore.Store) error{
		"a write": func(s *filestore.Store) error {
			_, err := s.Add(context.Background(), newTask("late"), noon, 0)
			return err
		},
		"nothing but time": func(s *filestore.Store) error {
			for begin := time.Now(); time.Since(begin) < 20*
				time.Second; <-time.After(5 * time.Millisecond) {
				if _, err := s.Counts(context.Background()); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "s")
			first := open(t, dir, small)
			cycle(t, first, "0")
			if err := os.Rename(dir, dir+".old"); err != nil {
				t.Fatal(err)
			}
			second := open(t, dir, small)
			if err := use(first); !errors.Is(err, filestore.ErrLocked) {
				t.Errorf("the store whose directory has moved: %v, want ErrLocked", err)
			}
			cycle(t, second, "1")
			if err := first.Stop(context.Background()); err != nil &&
				!errors.Is(err, filestore.ErrLocked) {
				t.Errorf("Stop: %v", err)
			}
			if err := second.Stop(context.Background()); err != nil {
				t.Fatal(err)
			}
			moved := open(t, dir+".old", small)
			if _, err := moved.Get(t.Context(), "0"); err != nil {
				t.Errorf("what was acknowledged before: %v", err)
			}
		})
	}
}

// content is all that is in a directory, by name; a directory or a link is there by its mode.
func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, e := range entries {
		all[e.Name()] = e.Type().String()
		if e.Type().IsRegular() {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			if all[e.Name()] = string(b); err != nil {
				// the store has renamed or removed it meanwhile
				delete(all, e.Name())
			}
		}
	}
	return all
}

// TestStore_LeavesWhatIsNotItsOwn puts things into a store's directory under names that are like
// its own or the very next of its own.
func TestStore_LeavesWhatIsNotItsOwn(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := func(text string) func(path string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	link := func(path string) error { return os.Symlink(outside, path) }
	folder := func(path string) error { return os.MkdirAll(filepath.Join(path, "more"), 0o700) }
	strange := map[string]func(path string) error{
		"2.log": file("a"), "00000000000000002.log": file("b"), "000000000000000x.log": file("c"),
		"notes.tmp":            file("d"),
		"0000000000000000.log": file("e"), "0000000000000000.snap": file("f"),
		"18446744073709551615.log": file("g"),
		"0000000000000010.log":     file("my own log\n"), "0000000000000011.log": file(""),
		"0000000000000012.log": link, "0000000000000013.log": folder,
		"0000000000000015.snap": file("my own snap"), "0000000000000017.snap": link,
		"0000000000000019.snap": folder,
		"0000000000000014.tmp":  link, "0000000000000016.tmp": folder,
		"9999999999999998.snap": file(""),
	}
	dir := t.TempDir()
	s := open(t, dir, small)
	fillSegments(t, s, 0, 10)
	for i := range 3 {
		if i == 1 { // while it is open, and while it is not
			for name, put := range strange {
				if err := put(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		was := content(t, dir)
		fillSegments(t, s, 10+200*i, 200) // some seven segments
		if err := s.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, small)
		if got, want := has(t, s, 10+200*(i+1)), 10+200*(i+1); got != want {
			t.Errorf("%d of %d tasks are there", got, want)
		}
		left := content(t, dir)
		for name := range strange {
			if left[name] != was[name] {
				t.Errorf("%s was %.20q and is %.20q", name, was[name], left[name])
			}
		}
	}
	if b, err := os.ReadFile(outside); err != nil || string(b) != "precious" {
		t.Errorf("where the links lead: %q, %v", b, err)
	}
}

func TestOpen_ChangesNothingWhenItRefuses(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small)
	before := content(t, dir)
	fillSegments(t, s, 0, 300)
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	for name, b := range before {
		// as a process leaves it that is killed before it has removed what its compaction has
		// replaced
		if _, err := os.Stat(filepath.Join(dir, name)); errors.Is(err, os.ErrNotExist) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(b), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	temp := filepath.Join(dir, "0000000000000099.snap.ABCDEFGHIJKLMNOPQRSTUVWXYZ.tmp")
	snaps, err := filepath.Glob(filepath.Join(dir, "*.snap"))
	if err != nil || len(snaps) != 1 {
		t.Fatalf("snapshots %v, %v", snaps, err)
	}
	log := snaps[0][:len(snaps[0])-len("snap")] + "log"
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for i := fileHead; i < len(b) && i < 30_000; i++ {
		b[i] ^= 0xff
	}
	if err := errors.Join(os.WriteFile(log, b, 0o600), os.WriteFile(temp, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	want := content(t, dir)
	if _, err := filestore.Open(dir, small); !errors.Is(err, filestore.ErrCorrupt) {
		t.Fatalf("Open: %v", err)
	}
	got := content(t, dir)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s is another", name)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d files, were %d", len(got), len(want))
	}
}
