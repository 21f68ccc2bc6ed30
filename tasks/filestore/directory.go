package filestore

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// directory is where a store's files are. They are reached through the directory and not by its
// path, so it does not matter where the program changes its working directory to, nor what a
// symbolic link says.
type directory struct {
	path   string // absolute
	root   *os.Root
	self   *os.File
	selfIs fs.FileInfo
	locked bool // self is; some file systems lock files only
	lock   *os.File
	lockIs fs.FileInfo
}

const (
	lockName = "LOCK"
	lockText = "filestore " // and the identity of the store, once it has files
)

// openDirectory makes the directory when there is none, and takes its lock, which is held until
// close or with the process.
func openDirectory(path string) (d *directory, err error) {
	d = &directory{}
	if d.path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if err = os.MkdirAll(d.path, 0o700); err != nil {
		return nil, err
	}
	if d.root, err = os.OpenRoot(d.path); err != nil {
		return nil, err
	}
	if err = d.acquire(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w (%s)", err, d.path), d.close())
	}
	return d, nil
}

// acquire opens the directory and LOCK, and takes the locks of both.
func (d *directory) acquire() (err error) {
	if d.self, err = d.root.Open("."); err != nil {
		return err
	}
	if d.selfIs, err = d.self.Stat(); err != nil {
		return err
	}
	// The lock of the directory holds also when somebody removes LOCK.
	if err = flock(d.self); errors.Is(err, ErrLocked) {
		return err
	}
	d.locked = err == nil
	if info, err := d.root.Lstat(lockName); err == nil && !info.Mode().IsRegular() {
		return errors.New("filestore: LOCK is no file")
	}
	if d.lock, err = d.root.OpenFile(lockName, os.O_CREATE|os.O_RDWR|openFlags, 0o600); err != nil {
		return err
	}
	if err = flock(d.lock); err != nil {
		return err
	}
	if d.lockIs, err = d.lock.Stat(); err != nil {
		return err
	}
	return d.check()
}

// check reports ErrLocked when the path does not lead to this directory any more, or its lock may
// be another's. What cannot be looked at is no news: nobody else can open it either.
func (d *directory) check() error {
	at, err := os.Stat(d.path)
	own := err == nil && os.SameFile(at, d.selfIs)
	if own && !d.locked {
		at, err = d.root.Lstat(lockName)
		own = err == nil && os.SameFile(at, d.lockIs)
	}
	if own || err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("%w: %s or its LOCK was removed or replaced while the store was open",
		ErrLocked, d.path)
}

func (d *directory) close() error {
	var errs []error
	for _, f := range []*os.File{d.lock, d.self} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(append(errs, d.root.Close())...)
}

// sync makes the names in the directory durable.
func (d *directory) sync() error { return d.self.Sync() }

// name is the path of a file, for texts.
func (d *directory) name(n uint64, ext string) string {
	return filepath.Join(d.path, fileName(n, ext))
}

// open opens a file of the store.
func (d *directory) open(n uint64, ext string, flag int) (*os.File, error) {
	return d.root.OpenFile(fileName(n, ext), flag|openFlags, 0)
}

// read reads a file of the store.
func (d *directory) read(n uint64, ext string) ([]byte, error) {
	f, err := d.open(n, ext, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(make([]byte, 0, info.Size()+bytes.MinRead))
	_, err = b.ReadFrom(f)
	return b.Bytes(), err
}

// temp begins a file that is to get a name when it is whole.
func (d *directory) temp(h head, ext string) (*os.File, string, error) {
	tmp := tempName(fileName(h.number, ext))
	f, err := d.root.OpenFile(tmp, os.O_CREATE|os.O_RDWR|os.O_EXCL, 0o600)
	if err != nil {
		return nil, "", err
	}
	if _, err = f.Write(h.bytes(ext)); err != nil {
		return nil, "", errors.Join(err, f.Close(), d.root.Remove(tmp))
	}
	return f, tmp, nil
}

// keep gives a file that temp began its name, durably.
func (d *directory) keep(f *os.File, tmp string, n uint64, ext string) error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := d.root.Rename(tmp, fileName(n, ext)); err != nil {
		return err
	}
	return d.sync()
}

// unused reports whether nothing has a name.
func (d *directory) unused(n uint64, ext string) bool {
	_, err := d.root.Lstat(fileName(n, ext))
	return errors.Is(err, fs.ErrNotExist)
}

// remove removes a file of the store, and returns whether it is gone.
func (d *directory) remove(n uint64, ext string) bool {
	err := d.root.Remove(fileName(n, ext))
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

// owner is the identity that LOCK has, none when it is new or has another content.
func (d *directory) owner() (id storeID) {
	b := make([]byte, len(lockText)+hex.EncodedLen(len(id))+1)
	n, _ := d.lock.ReadAt(b, 0) // it may be shorter
	text, ok := strings.CutPrefix(strings.TrimSpace(string(b[:n])), lockText)
	if raw, err := hex.DecodeString(text); ok && err == nil && len(raw) == len(id) {
		copy(id[:], raw)
	}
	return id
}

// writeOwner writes the identity into LOCK: so a directory that has lost all its other files is not
// taken for a new one.
func (d *directory) writeOwner(id storeID) error {
	if d.owner() == id {
		return nil
	}
	text := []byte(lockText + hex.EncodeToString(id[:]) + "\n")
	err := d.lock.Truncate(int64(len(text)))
	if err == nil {
		_, err = d.lock.WriteAt(text, 0)
	}
	if err == nil {
		err = d.lock.Sync()
	}
	if isFull(err) {
		return nil // the next opening does it
	}
	return err
}
