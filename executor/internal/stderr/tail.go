package stderr

import (
	"bytes"
	"strings"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

const (
	// Kept is how many bytes of the end of a worker's standard error are kept.
	Kept = 64 << 10
	// lineMax is how many bytes of a line are looked at.
	lineMax = 512
)

// Tail keeps the end of what a worker writes, and finds the lines in which the Go runtime says why
// it ends a process: they stand at the beginning of a report that may be longer than what is kept.
// All of it has its place in the stream, so that a report holds nothing of earlier calls.
type Tail struct {
	through *Relay        // gets all of it
	done    chan struct{} // closed when the pipe has ended

	// Guarded by mu.
	mu     lockorder.Mutex
	tail   []byte
	total  uint64  // bytes read
	line   []byte  // the line being read, at most lineMax bytes of it
	lineAt uint64  // where it begins
	reason finding // last line with "panic: " or "fatal error: "
	signal finding // last signal named by a report
}

// NewTail makes a Tail that gives all it reads to through as well.
func NewTail(through *Relay) *Tail {
	return &Tail{through: through, done: make(chan struct{})}
}

// Done is closed when CopyFrom has returned.
func (t *Tail) Done() <-chan struct{} { return t.done }

// finding is a line, or a part of one, and where the line begins.
type finding struct {
	text string
	at   uint64
}

// since is the text, if its line does not begin before from.
func (f *finding) since(from uint64) string {
	if f.at < from {
		return ""
	}
	return f.text
}

// CopyFrom reads to the end. It is called once.
func (t *Tail) CopyFrom(read func(buf []byte) (int, error)) {
	defer close(t.done)
	buf := make([]byte, 4<<10)
	for {
		n, err := read(buf)
		if n > 0 {
			t.add(buf[:n])
			t.through.Add(buf[:n])
		}
		if err != nil || n == 0 {
			return
		}
	}
}

func (t *Tail) add(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tail = append(t.tail, b...)
	if len(t.tail) > 2*Kept {
		t.tail = append(t.tail[:0], t.tail[len(t.tail)-Kept:]...)
	}
	for len(b) > 0 {
		rest, ends := b, false
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			rest, ends = b[:i], true
		}
		t.line = append(t.line, rest[:min(len(rest), lineMax-len(t.line))]...)
		t.total += uint64(len(rest))
		if !ends {
			return
		}
		t.scanLocked(string(t.line))
		t.total++
		t.line, t.lineAt = t.line[:0], t.total
		b = b[len(rest)+1:]
	}
}

// scanLocked looks at one whole line. What a function prints may look like a report; then a real
// one follows, or the exit code says that there was none.
func (t *Tail) scanLocked(line string) {
	switch {
	case strings.HasPrefix(line, "panic: "), strings.HasPrefix(line, "fatal error: "):
		t.reason = finding{line, t.lineAt}
	case strings.Contains(line, "ThreadSanitizer failed to allocate"): // a test with -race
		t.reason = finding{line, t.lineAt}
	case strings.HasPrefix(line, noThread):
		t.reason = finding{line, t.lineAt}
	case strings.HasPrefix(line, "[signal SIG"):
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "[signal "), ":")
		t.signal = finding{name, t.lineAt}
	case strings.HasPrefix(line, "SIG"):
		if name, _, ok := strings.Cut(line, ": "); ok && !strings.ContainsAny(name, " \t") {
			if r := t.reason; !strings.HasPrefix(r.text, noThread) ||
				r.at+uint64(len(r.text))+1 != t.lineAt {
				// else this is the abort that follows it
				t.reason = finding{line, t.lineAt}
			}
			t.signal = finding{name, t.lineAt}
		}
	}
}

// Report is what came from a place in the stream on.
func (t *Tail) Report(from uint64) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.line) > 0 {
		t.scanLocked(string(t.line))
		t.line = t.line[:0]
	}
	own := min(t.total-min(from, t.total), uint64(len(t.tail)), Kept)
	return Report{
		Text:   string(t.tail[len(t.tail)-int(own):]),
		Reason: t.reason.since(from), Signal: t.signal.since(from),
	}
}
