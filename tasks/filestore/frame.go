package filestore

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"iter"
)

// A frame is what one write appends to the log: records with a checksum.
//
//	"gTsk" | u32 size of the records | u32 CRC-32C of the rest | u64 number | u64 synced | records
//
// Numbers count from 1 without a gap. synced is the highest number that was known to be on the disk
// when this frame was written: with it, recovery tells a tail that was never acknowledged from
// damage to what was. Integers are little-endian.
const (
	headSize = 28
	magic    = "gTsk"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealFrame fills in the head of a frame whose records, with those values among them, follow after
// headSize bytes.
func sealFrame(b []byte, refs []ref, number, synced uint64) {
	size := len(b) - headSize
	for _, r := range refs {
		size += len(r.value)
	}
	copy(b, magic)
	binary.LittleEndian.PutUint32(b[4:], uint32(size)) // a segment is under 4 GiB
	binary.LittleEndian.PutUint64(b[12:], number)
	binary.LittleEndian.PutUint64(b[20:], synced)
	sum := crc32.Checksum(b[4:8], castagnoli)
	from := 12
	for piece := range pieces(b, refs) {
		sum = crc32.Update(sum, castagnoli, piece[from:])
		from = 0
	}
	binary.LittleEndian.PutUint32(b[8:], sum)
}

// pieces yields b with the values among it.
func pieces(b []byte, refs []ref) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		from := 0
		for _, r := range refs {
			if !yield(b[from:r.at]) || !yield(r.value) {
				return
			}
			from = r.at
		}
		yield(b[from:])
	}
}

// checksum covers the size too.
func checksum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[4:8], castagnoli), castagnoli, frame[12:])
}

type frame struct {
	number, synced uint64
	records        []byte
	size           int // of all
}

// parseFrame reports whether b begins with a whole frame.
func parseFrame(b []byte) (f frame, ok bool) {
	if len(b) < headSize || string(b[:4]) != magic {
		return f, false
	}
	size := binary.LittleEndian.Uint32(b[4:])
	if uint64(size) > uint64(len(b)-headSize) {
		return f, false
	}
	b = b[:headSize+int(size)]
	if binary.LittleEndian.Uint32(b[8:]) != checksum(b) {
		return f, false
	}
	return frame{
		number: binary.LittleEndian.Uint64(b[12:]), synced: binary.LittleEndian.Uint64(b[20:]),
		records: b[headSize:], size: len(b),
	}, true
}

// saysSynced reports whether a frame in b says that the one of a number was on the disk.
func saysSynced(b []byte, number uint64) bool {
	for {
		i := bytes.Index(b, []byte(magic))
		if i < 0 {
			return false
		}
		b = b[i:]
		if f, ok := parseFrame(b); ok && f.number > number && f.synced >= number {
			return true
		}
		b = b[1:]
	}
}
