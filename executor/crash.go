package executor

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// stderrTail keeps the end of what a worker writes, and finds the lines in which the Go runtime says why it ends a process: they stand at the
// beginning of a report that may be longer than what is kept.
type stderrTail struct {
	through io.Writer     // gets all of it
	done    chan struct{} // closed when the pipe has ended

	mu     sync.Mutex
	tail   []byte
	line   []byte // the line being read, at most lineMax bytes of it
	reason string // last line with "panic: " or "fatal error: "
	signal string // last signal named by a report
}

const lineMax = 512

// copyFrom reads r to its end.
func (s *stderrTail) copyFrom(r io.Reader) {
	defer close(s.done)
	buf := make([]byte, 4<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			s.add(buf[:n])
			_, _ = s.through.Write(buf[:n]) // the worker must not stop because its output is not wanted
		}
		if err != nil {
			return
		}
	}
}

func (s *stderrTail) add(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tail = append(s.tail, b...)
	if len(s.tail) > 2*noteMax {
		s.tail = append(s.tail[:0], s.tail[len(s.tail)-noteMax:]...)
	}
	for len(b) > 0 {
		rest, ends := b, false
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			rest, ends = b[:i], true
		}
		s.line = append(s.line, rest[:min(len(rest), lineMax-len(s.line))]...)
		if !ends {
			return
		}
		s.scanLocked(string(s.line))
		s.line = s.line[:0]
		b = b[len(rest)+1:]
	}
}

// scanLocked looks at one whole line. What a function prints may look like a report; then a real one follows, or the exit code says that there was none.
func (s *stderrTail) scanLocked(line string) {
	switch {
	case strings.HasPrefix(line, "panic: "), strings.HasPrefix(line, "fatal error: "):
		s.reason = line
	case strings.Contains(line, "ThreadSanitizer failed to allocate"): // a test with -race
		s.reason = line
	case strings.HasPrefix(line, "[signal SIG"):
		s.signal, _, _ = strings.Cut(strings.TrimPrefix(line, "[signal "), ":")
	case strings.HasPrefix(line, "SIG"):
		if name, _, ok := strings.Cut(line, ": "); ok && !strings.ContainsAny(name, " \t") {
			s.reason, s.signal = line, name
		}
	}
}

// report is the tail and the findings.
func (s *stderrTail) report() (tail, reason, signal string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.line) > 0 {
		s.scanLocked(string(s.line))
		s.line = s.line[:0]
	}
	return string(s.tail[max(0, len(s.tail)-noteMax):]), s.reason, s.signal
}

// exitStatus is how a process ended.
type exitStatus struct {
	code   int    // -1 if a signal ended it
	signal string // that signal
}

const (
	goExit   = 2  // exit code of a Go program that the runtime ends
	raceExit = 66 // and of one that the race detector ends
)

// classify makes a crash of an exit status and a report.
func classify(status exitStatus, tail, reason, signal string) CrashError {
	e := CrashError{ExitCode: status.code, Stderr: tail}
	switch {
	case status.signal != "":
		e.Kind, e.Signal = CrashSignal, status.signal
	case status.code == raceExit && strings.Contains(reason, "failed to allocate"):
		e.Kind, e.Reason = CrashOutOfMemory, reason
	case status.code != goExit || reason == "":
		e.Kind = CrashExit
	case strings.HasPrefix(reason, "fatal error: ") &&
		(strings.Contains(reason, "out of memory") || strings.Contains(reason, "cannot allocate memory")):
		e.Kind, e.Reason = CrashOutOfMemory, reason
	case signal != "" && !strings.HasPrefix(reason, "panic: "): // "fatal error: fault", "fatal error: unexpected signal …", "SIGQUIT: quit"
		e.Kind, e.Signal, e.Reason = CrashSignal, signal, reason
	default:
		e.Kind, e.Reason = CrashPanic, reason
	}
	return e
}
