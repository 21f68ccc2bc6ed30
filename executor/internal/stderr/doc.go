// Package stderr handles what worker processes write to their standard error.
//
// A [Tail] reads one worker's: it hands everything to the [Relay] of all workers, and keeps the end
// for the error of a call that the worker's death ends. [Explain] reads in that, and in the status
// of the process, why the process ended: a panic, a lack of memory, a signal or an exit code.
//
// Everything is safe for concurrent use. A Tail holds 128 KiB at most, a Relay 2 MiB.
package stderr
