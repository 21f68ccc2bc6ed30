package filestore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What cannot be closed is told of.
func TestStore_CloseTellsWhatCannotBeClosed(t *testing.T) {
	for name, of := range map[string]func(d *directory) *os.File{
		"its lock": func(d *directory) *os.File { return d.lock },
		"itself":   func(d *directory) *os.File { return d.self },
	} {
		d, err := openDirectory(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := of(d).Close(); err != nil {
			t.Fatal(err)
		}
		if err := d.close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A LOCK that cannot be written is told of, and the next opening does not take what it holds for an
// identity.
func TestDirectory_WriteOwner(t *testing.T) {
	d, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	id := storeID{1, 2, 3}
	for _, text := range []string{
		"", "zz", strings.Repeat("01", len(id)), lockText, lockText + "zz",
		lockText + "0102", lockText + strings.Repeat("01", len(id)-1) + "zz",
	} {
		if err := d.lock.Truncate(0); err != nil {
			t.Fatal(err)
		}
		if _, err := d.lock.WriteAt([]byte(text), 0); err != nil {
			t.Fatal(err)
		}
		if owner := d.owner(); owner != (storeID{}) {
			t.Errorf("LOCK with %q is of %x", text, owner)
		}
	}
	if err := d.writeOwner(id); err != nil || d.owner() != id {
		t.Errorf("LOCK is of %x, %v, want %x", d.owner(), err, id)
	}
	if err := d.lock.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.writeOwner(id); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a LOCK that cannot be written: %v", err)
	}
	_ = d.close()
}

// Where a directory itself cannot be locked its LOCK must stay what it was.
func TestDirectory_CheckLooksAtItsLock(t *testing.T) {
	dir := t.TempDir()
	d, err := openDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.close() }()
	d.locked = false
	if err := d.check(); err != nil {
		t.Error(err)
	}
	lock := filepath.Join(dir, lockName)
	if err := os.Rename(lock, lock+".old"); err != nil {
		t.Fatal(err)
	}
	if err := d.check(); !errors.Is(err, ErrLocked) {
		t.Errorf("without its LOCK: %v", err)
	}
	if err := os.WriteFile(lock, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.check(); !errors.Is(err, ErrLocked) {
		t.Errorf("with another's LOCK: %v", err)
	}
}
