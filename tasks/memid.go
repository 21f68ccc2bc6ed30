package tasks

import "hash/maphash"

// idIndex finds a task's Seq by its ID, by the hash of it, which callers make while nobody waits for them. It has no pointers: with a million tasks the garbage
// collector has nothing to do here, and it takes half of what a map by ID does.
type idIndex struct {
	seed    maphash.Seed
	seqs    map[uint64]uint64
	twins   map[string]uint64 // IDs whose hash another has; in practice there are none
	claimed [256]hashed       // by hash, those claimed last: what runs is asked for most, and seqs is too large for the processor's cache
}

type hashed struct {
	hash uint64 // of the ID
	e    *memEntry
}

func newIDIndex() idIndex {
	return idIndex{seed: maphash.MakeSeed(), seqs: map[uint64]uint64{}, twins: map[string]uint64{}}
}

func (x *idIndex) hash(id string) uint64 { return maphash.String(x.seed, id) }

// entryLocked returns the task with an ID, or nil.
func (s *MemStore) entryLocked(id string, hash uint64) *memEntry {
	if c := &s.byID.claimed[hash%uint64(len(s.byID.claimed))]; c.hash == hash && c.e != nil && c.e.id == id && states[c.e.state] == Running { // so it is not deleted
		return c.e
	}
	if seq, ok := s.byID.seqs[hash]; ok {
		if e := s.bySeq.get(seq); e.id == id {
			return e
		}
	}
	if len(s.byID.twins) > 0 {
		if seq, ok := s.byID.twins[id]; ok {
			return s.bySeq.get(seq)
		}
	}
	return nil
}

// claim makes e, which is being claimed, quick to find.
func (x *idIndex) claim(e *memEntry) {
	hash := x.hash(e.id)
	x.claimed[hash%uint64(len(x.claimed))] = hashed{hash, e}
}

// add adds an ID that is not there.
func (x *idIndex) add(id string, hash, seq uint64) {
	if _, taken := x.seqs[hash]; taken {
		x.twins[id] = seq
	} else {
		x.seqs[hash] = seq
	}
}

func (x *idIndex) remove(id string, hash, seq uint64) {
	if c := &x.claimed[hash%uint64(len(x.claimed))]; c.hash == hash {
		*c = hashed{} // which would keep its payload and result in memory
	}
	if x.seqs[hash] == seq {
		delete(x.seqs, hash)
	} else {
		delete(x.twins, id)
	}
}
