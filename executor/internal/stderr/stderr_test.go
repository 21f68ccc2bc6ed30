package stderr

import (
	"io"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

func TestTail_KeepsTheEndAndFindsTheReport(t *testing.T) {
	s := NewTail(NewRelay(io.Discard))
	report := "log line\npanic: early and not the one\n" + strings.Repeat("z", 3000) +
		"\nfatal error: all goroutines are asleep - deadlock!\n[signal SIGBUS: bus error " +
		"code=0x1]\nSIGNED: not a signal line? no\n"
	s.CopyFrom(io.MultiReader(strings.NewReader(report),
		strings.NewReader(strings.Repeat("t", 200<<10)), strings.NewReader("\nSIGQUIT: quit")).Read)
	r := s.Report(0)
	if len(r.Text) != Kept || !strings.HasSuffix(r.Text, "\nSIGQUIT: quit") ||
		r.Reason != "SIGQUIT: quit" || r.Signal != "SIGQUIT" {
		t.Errorf("%d bytes, %q, %q", len(r.Text), r.Reason, r.Signal)
	}
	end := uint64(len(report) + 200<<10 + len("\nSIGQUIT: quit"))
	for from, want := range map[uint64][3]string{
		end - 13:  {"SIGQUIT: quit", "SIGQUIT: quit", "SIGQUIT"},
		end - 12:  {"IGQUIT: quit", "", ""},
		end:       {"", "", ""},
		end + 100: {"", "", ""},
	} {
		if r := s.Report(from); [3]string{r.Text, r.Reason, r.Signal} != want {
			t.Errorf("from %d of %d: %+v, want %q", from, end, r, want)
		}
	}
}

func TestExplain_KindsOfDeath(t *testing.T) {
	const segv = "panic: runtime error: invalid memory address or nil pointer dereference"
	for name, c := range map[string]struct {
		status      Status
		reason, sig string // of the report
		want        Kind
		wantSignal  string
	}{
		"signal":     {Status{-1, "SIGKILL"}, "", "", Signal, "SIGKILL"},
		"exit":       {Status{Code: 3}, "", "", Exit, ""},
		"os.Exit(2)": {Status{Code: 2}, "", "", Exit, ""},
		"panic":      {Status{Code: 2}, segv, "SIGSEGV", Panic, ""},
		"deadlock":   {Status{Code: 2}, "fatal error: all asleep", "", Panic, ""},
		"heap": {
			Status{Code: 2},
			"fatal error: runtime: out of memory", "", OutOfMemory,
			"",
		},
		"stack": {
			Status{Code: 2},
			"fatal error: cannot allocate memory", "", OutOfMemory,
			"",
		},
		"no thread":      {Status{Code: 2}, noThread + ": again", "", OutOfMemory, ""},
		"race detector":  {Status{Code: 66}, "x failed to allocate 1 bytes", "", OutOfMemory, ""},
		"runtime signal": {Status{Code: 2}, "SIGQUIT: quit", "SIGQUIT", Signal, "SIGQUIT"},
	} {
		want := Death{Kind: c.want, Signal: c.wantSignal, Reason: c.reason}
		if got := Explain(c.status, Report{Reason: c.reason, Signal: c.sig}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	printed := Report{Reason: "panic: printed by a function that lives on", Signal: "SIGSEGV"}
	if got := Explain(Status{Code: 3}, printed); got != (Death{Kind: Exit}) {
		t.Errorf("an exit by its own code: %+v", got)
	}
	if got := Explain(Status{-1, "SIGTERM"}, printed); got !=
		(Death{Kind: Signal, Signal: "SIGTERM"}) {
		t.Errorf("a signal from outside: %+v", got)
	}
}

// slow is a writer that takes nothing until it is let go.
type slow struct {
	began, let chan struct{}
	got        []byte
}

func (s *slow) Write(b []byte) (int, error) {
	select {
	case s.began <- struct{}{}:
	default:
	}
	<-s.let
	s.got = append(s.got, b...)
	if len(b) > 0 && b[0] == '!' {
		panic("a writer that panics is one that failed")
	}
	return len(b), nil
}

func TestRelay_DropsWhatDoesNotFitAndSaysSo(t *testing.T) {
	to := &slow{began: make(chan struct{}, 1), let: make(chan struct{})}
	r := NewRelay(to)
	go r.Run()
	r.Add([]byte("!first"))
	<-to.began
	for range 2 {
		r.Add(make([]byte, relayMax-10))
	}
	r.Add([]byte("last"))
	close(to.let)
	r.Close()
	<-r.Done()
	want := len("!first") + relayMax - 10 + len("last")
	note := "executor: 1048566 bytes of what workers printed were dropped: Options.Stderr did " +
		"not take them in time\n"
	got := string(to.got)
	if len(got) != want+len(note) || !strings.HasSuffix(got, "last"+note) {
		t.Errorf("%d bytes, want %d; the end is %q", len(got), want+len(note), got[len(got)-120:])
	}
}
