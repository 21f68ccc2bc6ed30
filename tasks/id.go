package tasks

import (
	"crypto/rand"
	"sync"
)

// idSize is the length of an ID that is made here: with 5 random bits a byte no two are ever the same, as of rand.Text.
const idSize = 26

// ids makes IDs, from random bytes that it reads for many at once. The zero value is ready.
type ids struct{ random sync.Pool }

// randomBytes are those that no ID has been made of yet.
type randomBytes struct {
	left int
	buf  [40 * idSize]byte
}

func (s *ids) next() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" // RFC 4648, section 6
	r, _ := s.random.Get().(*randomBytes)
	if r == nil {
		r = new(randomBytes)
	}
	if r.left == 0 {
		_, _ = rand.Read(r.buf[:]) // never fails
		r.left = len(r.buf)
	}
	r.left -= idSize
	id := [idSize]byte(r.buf[r.left:])
	s.random.Put(r)
	for i, b := range id {
		id[i] = alphabet[b%byte(len(alphabet))]
	}
	return string(id[:])
}
