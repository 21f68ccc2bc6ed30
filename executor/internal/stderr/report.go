package stderr

import "strings"

// Report is what a worker wrote, and what it says of the end of the process.
type Report struct {
	Text   string // the last 64 KiB of it
	Reason string // the last line that begins with "panic: ", "fatal error: " or the like
	Signal string // the last signal that the runtime named, such as "SIGSEGV"
}

// noThread begins what a program with cgo says when it gets no thread, before it aborts: the memory
// limit counts the stacks of threads.
const noThread = "runtime/cgo: pthread_create failed"

// Status is how a process ended.
type Status struct {
	Code   int    // -1 if a signal ended it
	Signal string // that signal
}

const (
	goExit   = 2  // exit code of a Go program that the runtime ends
	raceExit = 66 // and of one that the race detector ends
)

// Kind says how a process ended.
type Kind string

// The kinds of end.
const (
	Panic       Kind = "panic"         // a panic, or a fatal error of the Go runtime
	OutOfMemory Kind = "out_of_memory" // the memory limit, or the machine's end
	Signal      Kind = "signal"        // from outside, or from a faulty memory access
	Exit        Kind = "exit"          // an exit code
)

// Death is what a status and a report together say of the end of a process.
type Death struct {
	Kind   Kind
	Signal string // for the kind Signal
	Reason string // the line that says why, if there is one
}

// Explain makes a Death of a process's status and its report.
func Explain(status Status, r Report) Death {
	switch {
	case status.Signal != "":
		return Death{Kind: Signal, Signal: status.Signal}
	case status.Code == raceExit && strings.Contains(r.Reason, "failed to allocate"):
		return Death{Kind: OutOfMemory, Reason: r.Reason}
	case status.Code != goExit || r.Reason == "":
		return Death{Kind: Exit}
	case strings.HasPrefix(r.Reason, "fatal error: ") &&
		(strings.Contains(r.Reason, "out of memory") ||
			strings.Contains(r.Reason, "cannot allocate memory")):
		return Death{Kind: OutOfMemory, Reason: r.Reason}
	case strings.HasPrefix(r.Reason, noThread):
		return Death{Kind: OutOfMemory, Reason: r.Reason}
	// "fatal error: fault", "fatal error: unexpected signal …", "SIGQUIT: quit"
	case r.Signal != "" && !strings.HasPrefix(r.Reason, "panic: "):
		return Death{Kind: Signal, Signal: r.Signal, Reason: r.Reason}
	}
	return Death{Kind: Panic, Reason: r.Reason}
}
