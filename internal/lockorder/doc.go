// Package lockorder proves that the locks of this module are always taken in one order, so that no
// two goroutines can each wait for a lock that the other holds.
//
// In a normal build [Mutex] and [RWMutex] are those of package sync, by an alias: nothing is
// checked, and nothing costs anything. With the build tag lockorder, which "make lockorder" sets
// for the tests of wsx, tasks and executor, they are types that panic where an order is broken,
// whether or not the goroutines happen to block at that moment:
//
//   - A lock is taken while another is held, and somewhere in this process, by any goroutine and at
//     any time before, the other was taken while the first was held, or by way of third ones. It is
//     the kind of lock that counts, not the lock: all mutexes of one field of one type are of one
//     kind.
//   - A goroutine takes a lock that it holds already, be it for reading.
//   - Two locks of one kind are taken one in the other, and those two were taken the other way
//     round before.
//
// Nothing has to be named or ranked. The kind of a lock is found by the lines that take it: lines
// that took the same lock take locks of the same kind. So a function that locks whatever mutex it
// is given must not be written with these types; it would make one kind of all. TryLock never waits
// and is not checked, but what is taken after it is.
//
// Locks that are channels are not seen: docs/inside.md says what may be taken while one is held.
package lockorder
