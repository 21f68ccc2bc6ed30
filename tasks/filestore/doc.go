// Package filestore keeps tasks in a directory: they outlive the process that took them on, and no
// server is needed. One process at a time has the directory.
//
//	store, err := filestore.Open("/var/lib/app/tasks", nil)
//	if err != nil { ... }
//	jobs := tasks.New(store, nil)
//	...
//	err = errors.Join(jobs.Stop(ctx), store.Stop(ctx)) // in this order
//
// # What is durable
//
// What Add, AddMany, Update and Delete have returned is on the disk (fdatasync). So is what Get and
// List return, and the task that a refused Add names: who has been told of a task may count on it.
// Changes that come while the disk is busy go with the next write, so many submitters share one
// sync.
//
// Two kinds of change wait for nothing: claims, and heartbeats, which are updates of LeaseUntil and
// Progress alone. They are written with the next frame, once the write or sync under way is over,
// and synced with the next change for which somebody waits. A kill -9 loses those that were not
// written yet, a power cut those that were not synced. Then the task runs again, which it may do
// anyway, and with a higher fence: fences are reserved on the disk in ranges of 1,048,576 before
// they are handed out, so none comes twice.
//
// Watchers are told of a change when it is on the disk, of claims and heartbeats when they are
// written.
//
// # Files
//
// All tasks are in memory too, in a [memstore.Store], which decides what may change. The files are
// a log of the changes, and a snapshot that takes the place of the log before it.
//
// A record says what changed in one task. A frame is what one write appends to the log: records
// with a checksum (CRC-32C), a number, and the highest number that was known to be on the disk.
// Segments are the log's files. They have SegmentSize bytes, less on a small disk, and are made of
// zeros before they are needed, so that a change that was taken finds its space.
//
// A compaction writes all tasks into a snapshot and removes the segments before it. It begins when
// the log has grown to 4 segments and to the last snapshot's size, and when a store that is full
// can win space by it. Others go on meanwhile: it reads pages of 1,000 tasks, and holds the memory
// store's lock for 4,096 places of tasks at most, deleted ones included. No lock is held while a
// file is made, written, synced or removed: a change that needs a file which is not there yet waits
// without locks, and no longer than its context.
//
// Every file begins with the store's identity and the file's place: a segment names the one before
// it, and in its last frame the one after it. A file gets its name when all of it is on the disk.
// Files with other names, and links, directories, pipes and files that do not begin like a store's,
// are neither read nor changed.
//
// # The directory
//
// The directory is locked, and so is the file LOCK in it: a second store gets [ErrLocked], also
// when somebody has removed LOCK. A store reaches its files through the directory that it opened,
// whatever becomes of the working directory. Before each acknowledgement and each new segment, and
// every second, it looks whether its path still leads there. When another directory has taken its
// place, the store fails with ErrLocked. (Some file systems lock no directories, as NFS. There it
// looks at LOCK too, and fails when that is removed.)
//
// # Recovery
//
// Open reads the snapshot and the log. The lease of a task that was running is ended at once, as
// its holder held the directory's lock and is gone.
//
// A frame that is cut off or damaged at the log's end was never acknowledged, and is cleared. A
// damaged frame that a later one says was on the disk had been acknowledged: Open returns
// [ErrCorrupt] and changes nothing. Damage to the very last frame cannot be told from a write that
// was cut off, unless Stop had written one after it.
//
// A whole frame with what no store writes is damage too: a task in no state, of another's ID or
// with a fence that was not reserved, a change of a task that is not there, a field or a time that
// cannot be. A change that a task has already is passed over, as it may be in the snapshot.
//
// Files that cannot be of one moment are damage as well: a segment that another names is missing, a
// snapshot is newer than the log beside it, files are of two stores, or LOCK knows of a store whose
// files are gone. So a copy of the directory of a store in use opens with all that was acknowledged
// before the copying began, or not at all. [Store.Backup] makes a copy that opens.
//
// # A full disk
//
// A task is taken only where it can finish. A new one, or one to be run again, is refused with
// tasks.ErrStoreFull unless the disk has room for three things: what all unfinished tasks are
// expected to add ([Options].Reserve says how that is known), a compaction of all tasks then with a
// quarter more, and two segments. So the tasks that are there finish, unless they add more than was
// expected; they can be cancelled and deleted; and a compaction makes room of what was deleted.
// Neither a segment nor a backup on the same disk takes the room that a compaction needs. MaxSize
// is a limit of new tasks beside it.
//
// That is so on Linux. Elsewhere, and under a quota, a store does not know how much is free: it
// refuses new tasks as soon as the next segment cannot be made and three quarters of the last are
// used.
//
// When other programs take that room, what is left of the last segment is for what matters more and
// more. Its last quarter is not for new tasks, its last eighth for no run that is to begin, its
// last sixteenth for no result, error or checkpoint, but for deletions, cancellations and fences,
// and a last part for opening and stopping. What finds no room is refused with ErrStoreFull and can
// be tried again. Heartbeats are never refused: those that find no room are kept in memory and
// written with the next change of their task, of which watchers are told.
//
// A store opens on a full disk. With room again it goes on by itself. It looks every 100 ms at
// most, when it is asked for something; a compaction that found no room is tried again after 100
// ms, doubled up to 5 s.
//
// # What is under it, and why
//
// 16 submitters, 200-byte payloads, ext4, 2 cores, acknowledged after fsync (make bench-tasks,
// medians of 5 rounds; the disk's own pace varies by half between rounds):
//
//	append to a file of zeros, grouped fsync   45,293 a second   1.00
//	this store under a Manager, submit         28,813            0.64
//	pebble, Set with Sync                      14,982            0.33
//	bbolt, Batch                               12,598            0.28
//	submit + run, this store                   21,151            0.54 of two grouped fsyncs
//
// bbolt writes whole pages of a tree twice. pebble would be a large dependency; tasks would be in
// it, in its cache and in memory. Segments of zeros are where it beats the plain append: 4 kB and
// fdatasync take 0.30 ms in them, 0.51 ms after fallocate and 0.65 ms at the end of a growing file.
//
// # Limits and errors
//
//   - One store a directory: a second one gets [ErrLocked] (flock; Unix only, elsewhere Open
//     returns errors.ErrUnsupported).
//   - A full disk, quota or MaxSize: tasks.ErrStoreFull, before anything has changed (see A full
//     disk).
//   - A store fails with the first write or sync that does: whatever waits and whatever comes gets
//     the error, as nobody knows what is on the disk. What was acknowledged is there when it is
//     opened again.
//   - A task, with all that belongs to it, fits into a segment (16 MiB unless stated, less 128
//     bytes), else tasks.ErrTooLarge.
//   - Times are in the years 1 to 9999, else tasks.ErrInvalid. They come back in UTC.
//
// Everything exported is safe for concurrent use. The store owns its goroutines: Stop ends and
// awaits them.
package filestore
