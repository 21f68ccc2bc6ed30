package filestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

// The child's environment: where the store and the ledger are, how many tasks there are, and the first that is not acknowledged yet.
const (
	childDir   = "FILESTORE_CHILD"
	childTasks = "FILESTORE_CHILD_TASKS"
	childFrom  = "FILESTORE_CHILD_FROM"
)

// TestStore_SurvivesKill9 kills a process again and again while it submits and runs tasks; FILESTORE_KILLS and FILESTORE_TASKS make it
// longer (make chaos-tasks). Every task whose submission was acknowledged must succeed once, and the
// ledger, where each run fsyncs its fence before it finishes, must show that fences rise and that the run that finished was the last.
func TestStore_SurvivesKill9(t *testing.T) {
	kills, n := setting(t, "FILESTORE_KILLS", 5), setting(t, "FILESTORE_TASKS", 400)
	dir := t.TempDir()
	acked := make([]bool, n)
	count, killed := 0, 0
	for round := 0; ; round++ {
		if round > 10*kills {
			t.Fatal("the child does not come to its end")
		}
		from := 0
		for from < n && acked[from] {
			from++
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), childDir+"="+dir, childTasks+"="+strconv.Itoa(n), childFrom+"="+strconv.Itoa(from))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// It dies when so many of its lines, acknowledgements and ends, have come.
		limit := -1
		if killed < kills {
			limit = rand.IntN(3 * n / (kills + 1)) //nolint:gosec // when to kill
		}
		lines := bufio.NewScanner(out)
		for i := 0; lines.Scan(); i++ {
			if id, ok := strings.CutPrefix(lines.Text(), "added "); ok {
				k, err := strconv.Atoi(id)
				if err != nil {
					t.Fatal(err)
				}
				if !acked[k] {
					acked[k] = true
					count++
				}
			}
			if i == limit {
				_ = cmd.Process.Kill()
			}
		}
		if err = cmd.Wait(); err == nil {
			break
		}
		if cmd.ProcessState.ExitCode() >= 0 {
			t.Fatalf("the child: %v", err)
		}
		killed++
	}
	if count != n {
		t.Errorf("%d of %d were acknowledged by the end", count, n)
	}
	t.Logf("%d tasks, %d kills", n, killed)
	checkLedger(t, dir, n)
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

// checkLedger compares what the runs wrote down with what the store says.
func checkLedger(t *testing.T, dir string, n int) {
	b, err := os.ReadFile(filepath.Join(dir, "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	last, again := map[string]uint64{}, 0
	for line := range strings.Lines(string(b)) {
		var id string
		var fence uint64
		if _, err := fmt.Sscanf(line, "%s %d\n", &id, &fence); err != nil || !strings.HasSuffix(line, "\n") {
			continue // cut off by a kill: it was not an effect yet
		}
		if seen := last[id]; seen != 0 {
			if again++; fence <= seen {
				t.Errorf("a stale write: task %s with fence %d after %d", id, fence, seen)
			}
		}
		last[id] = fence
	}
	s := open(t, filepath.Join(dir, "store"), small)
	for i := range n {
		id := strconv.Itoa(i)
		got, err := s.Get(t.Context(), id)
		switch {
		case err != nil:
			t.Errorf("task %s was acknowledged: %v", id, err)
		case got.State != tasks.Succeeded:
			t.Errorf("task %s is %s", id, got.State)
		case last[id] != got.Fence:
			t.Errorf("task %s ended with fence %d, its last effect has %d", id, got.Fence, last[id])
		}
	}
	counts, err := s.Counts(t.Context())
	if err != nil || counts["q"][tasks.Succeeded] != n || len(counts["q"]) != 1 {
		t.Errorf("counts %v, %v", counts, err)
	}
	t.Logf("%d runs were repeated", again)
}

// child submits and runs the tasks, and says on its standard output what was acknowledged.
func child(dir string) {
	check := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(3)
		}
	}
	n, err := strconv.Atoi(os.Getenv(childTasks))
	check(err)
	from, err := strconv.Atoi(os.Getenv(childFrom))
	check(err)
	ledger, err := os.OpenFile(filepath.Join(dir, "ledger"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	check(err)
	if end, err := ledger.Seek(0, io.SeekEnd); err == nil && end > 0 {
		_, err = ledger.WriteString("\n") // after what may have been cut off
		check(err)
	}
	s, err := filestore.Open(filepath.Join(dir, "store"), small)
	check(err)
	ctx := context.Background()
	lost, err := s.Expired(ctx, noon, n)
	check(err)
	for _, t := range lost {
		_, err := s.Update(ctx, t.ID, noon, func(t *tasks.Task) error { t.State, t.Owner, t.Deaths = tasks.Queued, "", t.Deaths+1; return nil })
		check(err)
	}
	var work sync.WaitGroup
	var submitting atomic.Int32
	var say sync.Mutex
	printed := func(what, id string) {
		say.Lock()
		defer say.Unlock()
		fmt.Println(what, id)
	}
	const submitters = 8
	submitting.Store(submitters)
	for i := range submitters {
		work.Go(func() {
			defer submitting.Add(-1)
			for k := from + i; k < n; k += submitters {
				id := strconv.Itoa(k)
				_, err := s.Add(ctx, newTask(id), noon, 0)
				if !errors.Is(err, tasks.ErrConflict) { // a kill came between the disk and the line
					check(err)
				}
				printed("added", id)
			}
		})
	}
	for i := range 8 {
		work.Go(func() {
			for {
				last := submitting.Load() == 0
				c := claimOne()
				c.Owner = strconv.Itoa(i)
				got, _, err := s.Claim(ctx, c)
				check(err)
				if len(got) == 0 && last {
					return
				}
				if len(got) == 0 {
					<-time.After(time.Millisecond)
				}
				for _, t := range got {
					_, err := ledger.WriteString(t.ID + " " + strconv.FormatUint(t.Fence, 10) + "\n")
					check(err)
					check(ledger.Sync())
					_, err = s.Update(ctx, t.ID, noon, func(now *tasks.Task) error {
						if now.State != tasks.Running || now.Owner != t.Owner || now.Fence != t.Fence {
							return tasks.ErrStale
						}
						return finish(now)
					})
					check(err)
					printed("ended", t.ID)
				}
			}
		})
	}
	work.Wait()
	check(s.Close())
	os.Exit(0)
}
