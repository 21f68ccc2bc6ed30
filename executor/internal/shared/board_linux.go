package shared

import (
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// board is the page. The parent queues a call in a slot before it sends it. The worker begins the
// call, or the parent withdraws it, by a change of that slot's state, which only one of them can
// win: so it is known of every call whether its function has begun, even when the worker is killed.
type board struct {
	slots    [slotCount]slot
	consumed atomic.Uint64 // bytes that the parent has read of the worker's standard error
	reading  atomic.Uint32 // it is reading, and consumed is not true for the moment
	refs     atomic.Int32  // the parent's own: who still uses the page
}

const slotCount = 240 // a byte holds their numbers

type slot struct {
	state atomic.Uint32
	mark  atomic.Uint64 // how many bytes of standard error came before the call
}

// The states of a slot.
const (
	slotFree = iota
	slotQueued
	slotBegun
	slotWithdrawn
)

const _ = uint(4096 - unsafe.Sizeof(board{})) // it fits into a page

func mapBoard(fd int) (*board, error) {
	memory, err := unix.MmapPtr(fd, 0, nil, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return (*board)(memory), nil
}

// Queue takes a free slot among the first n; NoSlot if there is none.
func (b *board) Queue(n int) uint8 {
	for i := range min(n, slotCount) {
		if b.slots[i].state.CompareAndSwap(slotFree, slotQueued) {
			return uint8(i)
		}
	}
	return NoSlot
}

// Withdraw takes back a call that has not begun. Its slot is free when the worker has come across
// its frame.
func (b *board) Withdraw(slot uint8) bool {
	return slot != NoSlot && b.slots[slot].state.CompareAndSwap(slotQueued, slotWithdrawn)
}

// Queued reports whether a call may be withdrawn.
func (b *board) Queued(slot uint8) bool {
	return slot != NoSlot && b.slots[slot].state.Load() == slotQueued
}

// Free ends a call that was answered.
func (b *board) Free(slot uint8) {
	if slot != NoSlot {
		b.slots[slot].state.Store(slotFree)
	}
}

// Begin is for the worker: false when the call was withdrawn.
func (b *board) Begin(slot uint8) bool {
	if slot == NoSlot {
		return true
	}
	if slot >= slotCount {
		return false
	}
	s := &b.slots[slot]
	s.mark.Store(b.printed())
	if s.state.CompareAndSwap(slotQueued, slotBegun) {
		return true
	}
	s.state.Store(slotFree)
	return false
}

// printed is how many bytes this worker has written to its standard error: what the parent has read
// and what is in the pipe.
func (b *board) printed() uint64 {
	const patience = 10_000
	for range patience { // the parent is reading for a moment only
		before := b.consumed.Load()
		waiting, err := unix.IoctlGetInt(2, unix.TIOCINQ)
		if err != nil {
			waiting = 0 // the function has put something else there
		}
		if b.reading.Load() == 0 && b.consumed.Load() == before {
			return before + uint64(waiting)
		}
	}
	// more than the pipe holds: rather too little of this call than something of another
	return b.consumed.Load() + 2<<20
}

// Mark is how many bytes of standard error came before the call in a slot.
func (b *board) Mark(slot uint8) uint64 {
	if slot == NoSlot {
		return 0
	}
	return b.slots[slot].mark.Load()
}
