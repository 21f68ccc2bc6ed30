package filestore

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// The names of a store's files are a number of 16 digits and one of these. What has another name,
// or is no regular file, is another program's and is left alone.
const (
	logExt  = ".log"
	snapExt = ".snap"
	tmpExt  = ".tmp" // after the name that the file gets when it is whole, and something random
)

const (
	nameDigits = 16
	maxNumber  = 9_999_999_999_999_999
)

func fileName(n uint64, ext string) string { return fmt.Sprintf("%0*d%s", nameDigits, n, ext) }

// numberOf is the number in a name that fileName made.
func numberOf(name, ext string) (uint64, bool) {
	text, ok := strings.CutSuffix(name, ext)
	if !ok || len(text) != nameDigits {
		return 0, false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n, err == nil && n > 0
}

// tempName is a name that nobody can have prepared something under.
func tempName(name string) string { return name + "." + rand.Text() + tmpExt }

func isTemp(name string) bool {
	name, ok := strings.CutSuffix(name, tmpExt)
	of, random, found := strings.Cut(name, ".")
	ext, random, second := strings.Cut(random, ".")
	_, number := numberOf(of+"."+ext, "."+ext)
	return ok && found && second && number && (ext == logExt[1:] || ext == snapExt[1:]) &&
		len(random) == len(rand.Text())
}

// head is what each file begins with: it says whose the file is, and where it belongs.
//
//	"gTsl" or "gTss" | u32 CRC-32C of the rest | the store's identity | u64 number |
//	u64 number of the segment before it
type head struct {
	store  storeID
	number uint64
	before uint64 // 0 for the first, and for a snapshot
}

// storeID is the identity of a store: random, the same in all its files.
type storeID [16]byte

const (
	fileHead  = 40
	logMagic  = "gTsl"
	snapMagic = "gTss"
)

func magicOf(ext string) string {
	if ext == logExt {
		return logMagic
	}
	return snapMagic
}

func (h head) bytes(ext string) []byte {
	b := make([]byte, fileHead)
	copy(b, magicOf(ext))
	copy(b[8:], h.store[:])
	binary.LittleEndian.PutUint64(b[24:], h.number)
	binary.LittleEndian.PutUint64(b[32:], h.before)
	binary.LittleEndian.PutUint32(b[4:], crc32.Checksum(b[8:], castagnoli))
	return b
}

// parseHead reports whether a file of a store begins with b.
func parseHead(b []byte, ext string) (h head, ok bool) {
	if len(b) < fileHead || string(b[:4]) != magicOf(ext) ||
		binary.LittleEndian.Uint32(b[4:]) != crc32.Checksum(b[8:fileHead], castagnoli) {
		return h, false
	}
	copy(h.store[:], b[8:])
	h.number, h.before = binary.LittleEndian.Uint64(b[24:]), binary.LittleEndian.Uint64(b[32:])
	return h, true
}

// files are those of a store.
type files struct {
	id    storeID
	logs  map[uint64]head
	snaps map[uint64]head
	temps []string // whose writing did not finish
	// the name of one that has a store's name, content, and not the head of a store's file
	foreign string
}

// scan finds the store's files.
func (d *directory) scan() (*files, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	found := &files{logs: map[uint64]head{}, snaps: map[uint64]head{}}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if isTemp(e.Name()) {
			found.temps = append(found.temps, e.Name())
		}
		for ext, of := range map[string]map[uint64]head{logExt: found.logs, snapExt: found.snaps} {
			n, ok := numberOf(e.Name(), ext)
			if !ok {
				continue
			}
			h, size, err := d.head(n, ext)
			switch {
			case err != nil:
				return nil, err
			case h.number == n:
				if found.id != (storeID{}) && found.id != h.store {
					return nil, fmt.Errorf("%w: there are files of two stores (%s)", ErrCorrupt,
						d.name(n, ext))
				}
				found.id, of[n] = h.store, h
			case size > 0:
				found.foreign = d.name(n, ext)
			}
		}
	}
	return found, nil
}

// head reads the head of a file; its number is 0 when it is none.
func (d *directory) head(n uint64, ext string) (h head, size int64, err error) {
	f, err := d.open(n, ext, os.O_RDONLY)
	if err != nil {
		return h, 0, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return h, 0, err
	}
	b := make([]byte, fileHead)
	read, err := f.ReadAt(b, 0)
	if err != nil && read == 0 && info.Size() > 0 {
		return h, 0, err
	}
	h, _ = parseHead(b[:read], ext)
	return h, info.Size(), nil
}
