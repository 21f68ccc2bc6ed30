package tasks

import (
	"crypto/rand"
	"sync"
)

// idSize is the length of an ID that is made here: with 5 random bits a byte no two are ever the same, as of rand.Text.
const idSize = 26

// ids makes IDs, from random bytes that it reads for many at once.
type ids struct {
	mu   sync.Mutex
	left int // bytes
	buf  [40 * idSize]byte
}

func (s *ids) next() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" // RFC 4648, section 6
	var id [idSize]byte
	s.mu.Lock()
	if s.left == 0 {
		_, _ = rand.Read(s.buf[:]) // never fails
		s.left = len(s.buf)
	}
	s.left -= idSize
	copy(id[:], s.buf[s.left:])
	s.mu.Unlock()
	for i, b := range id {
		id[i] = alphabet[b%byte(len(alphabet))]
	}
	return string(id[:])
}
