package filestore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

// write makes a directory of files.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// opensWhole reports whether a store of these files opens, which it may only with the first n
// tasks, all of them.
func opensWhole(t *testing.T, what string, files map[string]string, n int) bool {
	t.Helper()
	s, err := filestore.Open(write(t, files), small)
	if err != nil {
		if !errors.Is(err, filestore.ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", what, err)
		}
		return false
	}
	defer func() { _ = s.Stop(context.Background()) }()
	if got := has(t, s, n); got != n {
		t.Errorf("%s: it opens, with %d of %d tasks", what, got, n)
	}
	return true
}

// TestOpen_RefusesADirectoryWithoutAFile leaves out every selection of a store's files.
func TestOpen_RefusesADirectoryWithoutAFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small)
	n := 0
	for ; ; n++ { // the snapshot of the first compaction, and segments before and after it
		cycleOf(t, s, strconv.Itoa(n), 3000)
		if snaps, _ := filepath.Glob(filepath.Join(dir, "*.snap")); len(snaps) > 0 {
			break
		}
	}
	fillSegments(t, s, n+1, 45)
	n += 46
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	all := content(t, dir)
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	if len(names) < 4 || len(names) > 8 {
		t.Fatalf("files %v", names)
	}
	whole := 0
	for set := 1; set < 1<<len(names); set++ {
		files := map[string]string{}
		for i, name := range names {
			if set&(1<<i) != 0 {
				files[name] = all[name]
			}
		}
		if opensWhole(t, strconv.FormatInt(int64(set), 2), files, n) {
			whole++
		}
	}
	if whole == 0 || whole > 4 {
		// with and without LOCK, with and without a segment made in advance
		t.Errorf("%d selections open", whole)
	}
}

// TestOpen_RefusesFilesOfTwoMoments mixes the files that a store had earlier and later, as a slow
// copy of a directory in use does, in every way that it may.
func TestOpen_RefusesFilesOfTwoMoments(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, small)
	fillSegments(t, s, 0, 40)
	var moments []map[string]string
	const more = 35
	n := 40
	for range 6 {
		moments = append(moments, content(t, dir))
		fillSegments(t, s, n, more)
		n += more
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	opened := 0
	for range 400 {
		first := random.IntN(len(moments))
		files := map[string]string{}
		// Each file is as it was at some time from the first on, or is gone when it is copied. What
		// comes after the listing is not copied.
		for name := range moments[first] {
			at := first + random.IntN(len(moments)-first)
			if b, ok := moments[at][name]; ok {
				files[name] = b
			}
		}
		if len(files) > 0 && opensWhole(t, "files of several moments", files, 40+more*first) {
			opened++
		}
	}
	if opened == 0 {
		t.Error("none opens, not even those of one moment")
	}
}
