// Package memstore keeps tasks in memory: a [tasks.Store] that forgets everything when the process
// ends. What must outlive it belongs into a durable store, such as tasks/filestore, which has a
// memory store inside and is told of each change before it happens ([NewJournaled]).
//
//	jobs := tasks.New(memstore.New(), nil)
//
// # Cost
//
// Adding, claiming and finishing a task takes about 2 µs together, however many others wait, are of
// kinds that nobody runs or of keys at their limit. A task that is done takes about 300 bytes
// beside its payload and result. Times come back in UTC.
//
// # How it is made
//
// An entry holds a task in less than half the space of a [tasks.Task], which is made when somebody
// asks for one. Entries are found by the hash of their ID and by their place in the order of
// submission, in chunks of 256 that a listing passes over by what they have in common. Those that
// wait are kept by queue and kind: by their order where they are due, else by time.
//
// # Concurrency and errors
//
// All methods are safe for concurrent use. One lock guards all of the store, and is held for less
// than a microsecond a task; watchers are told without it. Errors are those that [tasks.Store]
// names, or the journal's own.
package memstore
