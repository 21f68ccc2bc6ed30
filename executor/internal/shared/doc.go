// Package shared is what a worker process and its parent have in common beside their pipes.
//
// [New] makes it for a worker that is about to start, and [Open] is the worker's own end of it.
// Both are a [Side], by which files pass from one process to the other: [Side.Pass] comes before
// the frame that names the file, so that [Side.Take] never waits.
//
// On Linux a Side has a board as well: one page of memory with a slot for each call on its way. The
// parent queues a call there; the worker begins it, or the parent withdraws it, and only one of
// them can win. So it is known of every call whether its function has begun, even when the worker
// is killed. A slot also notes how much standard error came before its call. Elsewhere no call has
// a slot ([NoSlot]), and a call that was sent counts as begun.
//
// A Side is safe for concurrent use. The parent's page is unmapped when all who use it have
// released it ([Side.Retain], [Side.Release]); a worker's stays until it ends.
package shared
