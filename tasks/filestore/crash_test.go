package filestore_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// TestStore_SurvivesKill9 kills a process again and again, at random moments, that submits tasks to
// managers on a store and runs them; FILESTORE_KILLS and FILESTORE_TASKS make it longer (make
// chaos-tasks). What the process and its runs say goes into a ledger beside the store, which the
// parent holds against what the store has in the end: every task whose submission was acknowledged
// has ended, once, no run wrote with an older fence than one before it, and what a run had been
// told was kept.
func TestStore_SurvivesKill9(t *testing.T) {
	kills, n := setting(t, "FILESTORE_KILLS", 4), setting(t, "FILESTORE_TASKS", 300)
	dir := t.TempDir()
	killed, idle := 0, 0
	for round := 0; ; round++ {
		// Each child has a share of the tasks, and of the two lines that it says of most of them so
		// many that it is killed while it works; one that has done its share before says so, and is
		// killed then. So there is always one to kill.
		share, limit := n, 0
		if killed < kills {
			share = n * (round + 1) / (kills + 1)
			limit = 1 + rand.IntN(max(2*n/(kills+1), 1))
		}
		rested, dead := runChild(t, dir, share, round, limit)
		if !dead {
			break
		}
		if killed++; rested {
			idle++
		}
	}
	if killed != kills {
		t.Errorf("it was killed %d times, want %d", killed, kills)
	}
	if idle > 1+kills*3/4 {
		t.Errorf("at %d of %d kills the process had nothing to do", idle, killed)
	}
	l := readLedger(t, dir)
	l.check(t, n)
	checkStore(t, dir, n, l)
	t.Logf(
		"%d tasks, %d kills, %d of them while it rested, %d runs, %d of them repeated; %d "+
			"acknowledged cancels, %d ends seen", n, killed, idle, l.runs, l.again,
		len(l.cancelled), len(l.ended))
}

func setting(t *testing.T, name string, otherwise int) int {
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// runChild runs a child until it ends by itself or, where there is a limit, is killed a moment
// after it has said so many lines; every fourth is killed by the clock, while it opens the store or
// takes over what it finds. It returns whether it had done its share of the tasks by then, those up
// to n.
func runChild(t *testing.T, dir string, n, round, limit int) (rested, killed bool) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childDir+"="+dir, childTasks+"="+strconv.Itoa(n),
		childRound+"="+strconv.Itoa(round), childRests+"="+strconv.FormatBool(limit > 0))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := func(most time.Duration) *time.Timer {
		return time.AfterFunc(rand.N(most),
			func() { _ = cmd.Process.Kill() })
	}
	if limit > 0 && round%4 == 3 {
		defer kill(100 * time.Millisecond).Stop()
	}
	// it hangs: where?
	defer time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Signal(syscall.SIGQUIT) }).Stop()
	said := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch what, _, _ := strings.Cut(lines.Text(), " "); what {
		case "acked", "done":
			if said++; said == limit {
				defer kill(5 * time.Millisecond).Stop()
			}
		case "rests":
			rested = true
			_ = cmd.Process.Kill() // it waits for that
		}
	}
	if err = cmd.Wait(); err == nil {
		return rested, false
	}
	if cmd.ProcessState.ExitCode() >= 0 {
		t.Fatalf("the child: %v", err)
	}
	return rested, true
}

// ledger is what was said, by task.
type ledger struct {
	acked, cancelled map[string]bool
	fence            map[string]uint64 // of the latest run
	done             map[string]uint64 // of the latest run that came to its end
	saved            map[string]int    // the latest checkpoint
	ended            map[string]string // the fence and the state that a watcher was told of
	runs, again      int
	wrong            []string
}

func readLedger(t testing.TB, dir string) *ledger {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "ledger"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return parseLedger(string(b))
}

// parseLedger reads lines of a word, a task, and for most words a fence and something more. A line
// that a kill has cut off was not said.
func parseLedger(text string) *ledger {
	l := &ledger{
		acked: map[string]bool{}, cancelled: map[string]bool{}, fence: map[string]uint64{},
		done:  map[string]uint64{},
		saved: map[string]int{}, ended: map[string]string{},
	}
	for line := range strings.Lines(text) {
		var what, id, more string
		var fence uint64
		if n, _ := fmt.Sscanf(line, "%s %s %d %s", &what, &id, &fence, &more); n < 4 ||
			!strings.HasSuffix(line, "\n") {
			continue
		}
		l.add(what, id, fence, more)
	}
	return l
}

func (l *ledger) add(what, id string, fence uint64, more string) {
	wrong := func(format string, args ...any) {
		l.wrong = append(l.wrong,
			fmt.Sprintf("%s %s %d %s: ", what, id, fence, more)+fmt.Sprintf(format, args...))
	}
	if end := l.ended[id]; end != "" && what != "acked" && what != "cancelled" {
		if at, _, _ := strings.Cut(end, " "); fence > number(at) || what == "ended" {
			wrong("after it had ended as %s", end)
		}
	}
	switch what {
	case "acked":
		l.acked[id] = true
	case "cancelled":
		l.cancelled[id] = true
	case "ended":
		l.ended[id] = strconv.FormatUint(fence, 10) + " " + more
	case "begun":
		if l.runs++; l.fence[id] != 0 {
			l.again++
		}
		if fence <= l.fence[id] {
			wrong("a run with fence %d was before it", l.fence[id])
		}
		if from := int(number(more)); from < l.saved[id] {
			wrong("checkpoint %d is lost", l.saved[id])
		}
		l.fence[id] = fence
	case "saved", "done":
		if fence != l.fence[id] {
			wrong("a stale write: the run with fence %d has begun", l.fence[id])
		}
		if what == "done" {
			l.done[id] = fence
		} else {
			l.saved[id] = int(number(more))
		}
	default:
		wrong("no such word")
	}
}

func number(text string) uint64 {
	n, _ := strconv.ParseUint(text, 10, 64) // the parent and its child agree
	return n
}

// check reports what the ledger alone shows.
func (l *ledger) check(t *testing.T, n int) {
	for _, text := range l.wrong {
		t.Error(text)
	}
	if len(l.acked) != n {
		t.Errorf("%d of %d tasks were acknowledged by the end", len(l.acked), n)
	}
}

// checkStore compares what the store has with what it should, and with the ledger.
func checkStore(t *testing.T, dir string, n int, l *ledger) {
	s := open(t, filepath.Join(dir, "store"), small)
	states := map[tasks.State]int{}
	for id := range l.acked {
		got, err := s.Get(t.Context(), id)
		if err != nil {
			t.Errorf("task %s was acknowledged: %v", id, err)
			continue
		}
		states[got.State]++
		want := fate(number(id)).ends
		switch {
		case l.cancelled[id]:
			want = tasks.Cancelled
		case got.State == tasks.Dead: // it was running at three of the kills
			if got.Deaths != 3 || got.Error == nil || got.Error.Kind != tasks.ErrorLost {
				t.Errorf("task %s is dead after %d deaths, of %v", id, got.Deaths, got.Error)
			}
			want = tasks.Dead
		// the kill came before the acknowledgement
		case got.State == tasks.Cancelled && fate(number(id)).cancel:
			want = tasks.Cancelled
		}
		if got.State != want || got.Owner != "" || got.Finished.IsZero() || got.Deaths > 3 {
			t.Errorf("task %s should be %s: %+v", id, want, got)
		}
		if end := l.ended[id]; end != "" && end != fmt.Sprint(got.Fence, " ", got.State) {
			t.Errorf("task %s ended as %s, and is %s with fence %d", id, end, got.State, got.Fence)
		}
		if got.State == tasks.Succeeded &&
			(string(got.Result) != fmt.Sprint(got.Fence) || l.done[id] != got.Fence) {
			t.Errorf("task %s succeeded with fence %d and the result of %s; its last effect has %d",
				id, got.Fence, got.Result, l.done[id])
		}
	}
	counts, err := s.Counts(t.Context())
	all := 0
	for _, k := range counts["default"] {
		all += k
	}
	if err != nil || all != n || len(counts) != 1 {
		t.Errorf("counts %v, %v", counts, err)
	}
	if states[tasks.Dead] > n/5 {
		t.Errorf("%d of %d tasks are dead: too few have run to show anything", states[tasks.Dead],
			n)
	}
	t.Logf("in the end %v", states)
}

// TestLedger_NoticesWhatIsWrong has ledgers that no store in order leads to.
func TestLedger_NoticesWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		text  string
		wrong int
	}{
		"fine": {
			"acked 1 0 -\nbegun 1 5 0\nsaved 1 5 1\nbegun 1 7 1\ndone 1 7 -\nended 1 7 succeeded\n",
			0,
		},
		"a late beginning": {"begun 1 5 0\nended 1 5 cancelled\ndone 1 5 -\n", 0},
		"a torn line":      {"begun 1 5 0\nbegun 1 5", 0},
		"a stale run":      {"begun 1 5 0\nbegun 1 5 0\n", 1},
		"a stale write":    {"begun 1 5 0\nbegun 1 7 0\ndone 1 5 -\n", 1},
		"a lost step":      {"begun 1 5 0\nsaved 1 5 2\nbegun 1 7 1\n", 1},
		"run after an end": {"begun 1 5 0\nended 1 5 failed\nbegun 1 7 0\n", 1},
		"two ends":         {"ended 1 5 failed\nended 1 5 failed\n", 1},
	} {
		if l := parseLedger(c.text); len(l.wrong) != c.wrong {
			t.Errorf("%s: %q, want %d", name, l.wrong, c.wrong)
		}
	}
}
