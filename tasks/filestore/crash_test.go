package filestore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
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

// TestStore_SurvivesKill9 kills a process again and again while a Manager submits and runs tasks there, of which a fifth fail at first; FILESTORE_KILLS and
// FILESTORE_TASKS make it longer (make chaos-tasks). Every task whose submission was acknowledged must end, once, and the ledger, where each run
// fsyncs its fence before it returns, must show that fences rise and that the run that ended the task was the last.
func TestStore_SurvivesKill9(t *testing.T) {
	kills, n := setting(t, "FILESTORE_KILLS", 5), setting(t, "FILESTORE_TASKS", 400)
	dir := t.TempDir()
	acked, ended := make(map[string]bool), make(map[string]string)
	for killed := 0; ; killed++ {
		if killed > 10*kills {
			t.Fatal("the child does not come to its end")
		}
		// It dies when so many of its lines have come.
		limit := -1
		if killed < kills {
			limit = rand.IntN(3 * n / (kills + 1)) //nolint:gosec // when to kill
		}
		from := 0
		for acked[strconv.Itoa(from)] {
			from++
		}
		if runChild(t, dir, from, n, limit, func(line string) {
			what, id, _ := strings.Cut(line, " ")
			if what == "added" {
				acked[id] = true
				return
			}
			id, how, _ := strings.Cut(id, " ")
			if before := ended[id]; before != "" {
				t.Errorf("task %s ended twice: %s, then %s", id, before, how)
			}
			ended[id] = how
		}) {
			t.Logf("%d tasks, %d kills", n, killed)
			break
		}
	}
	if len(acked) != n {
		t.Errorf("%d of %d were acknowledged by the end", len(acked), n)
	}
	checkLedger(t, dir, n, ended)
}

// runChild runs a child and hands over its lines. It kills it at the line of that number, and reports whether it came to its end.
func runChild(t *testing.T, dir string, from, n, limit int, heard func(line string)) bool {
	t.Helper()
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
	lines := bufio.NewReader(out)
	for i := 0; ; i++ {
		line, err := lines.ReadString('\n')
		if err != nil { // what there is was cut off
			break
		}
		heard(strings.TrimSuffix(line, "\n"))
		if i == limit {
			_ = cmd.Process.Kill()
		}
	}
	if err = cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() >= 0 {
		t.Fatalf("the child: %v", err)
	}
	return err == nil
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

// checkLedger compares what the runs wrote down with what the store says, and that with what the child said.
func checkLedger(t *testing.T, dir string, n int, ended map[string]string) {
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
	states := map[tasks.State]int{}
	for i := range n {
		id := strconv.Itoa(i)
		got, err := s.Get(t.Context(), id)
		if err != nil {
			t.Errorf("task %s was acknowledged: %v", id, err)
			continue
		}
		states[got.State]++
		switch how := ended[id]; {
		case got.State == tasks.Dead && got.Deaths == 3: // three processes died while it ran, maybe before its effect
		case got.State != tasks.Succeeded:
			t.Errorf("task %s is %s, deaths %d, %+v", id, got.State, got.Deaths, got.Error)
		case last[id] != got.Fence:
			t.Errorf("task %s ended with fence %d, its last effect has %d", id, got.Fence, last[id])
		case how != "" && how != describe(got):
			t.Errorf("task %s is %s, it ended as %s", id, describe(got), how)
		}
	}
	counts, err := s.Counts(t.Context())
	if err != nil || !maps.Equal(counts["default"], states) || len(counts) != 1 {
		t.Errorf("counts %v, %v; want %v", counts, err, states)
	}
	t.Logf("%d runs were repeated; the tasks are %v", again, states)
}

func describe(t *tasks.Task) string { return fmt.Sprintf("%s %d", t.State, t.Fence) }

// child submits and runs the tasks by a Manager, and says on its standard output what was acknowledged and how tasks ended.
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
	m := tasks.New(&tasks.Options{
		Store: s, Owner: "child", Retention: -1, Lease: time.Second, Queues: map[string]tasks.QueueOptions{"default": {Concurrency: 8}},
		Logger: slog.New(slog.DiscardHandler),
	})
	kind := tasks.Register(m, "effect", 1, func(ctx context.Context, i int) (int, error) {
		run := tasks.RunFrom(ctx)
		check(run.Progress(tasks.Progress{Message: "begun"}))
		if i%3 == 0 {
			check(run.Checkpoint(i))
		}
		if i%5 == 0 && run.Attempt() == 1 {
			return 0, errors.New("once more")
		}
		_, err := ledger.WriteString(run.ID() + " " + strconv.FormatUint(run.Fence(), 10) + "\n")
		check(err)
		check(ledger.Sync())
		return i, nil
	}, &tasks.KindOptions{Retry: tasks.RetryPolicy{Attempts: 2, Min: time.Millisecond}})
	events := m.Events(ctx, &tasks.Filter{States: []tasks.State{tasks.Succeeded, tasks.Failed, tasks.Dead, tasks.Cancelled}})
	check(m.Start(ctx))
	var work sync.WaitGroup
	var say sync.Mutex
	printed := func(line string) {
		say.Lock()
		defer say.Unlock()
		fmt.Println(line)
	}
	work.Go(func() {
		for t, err := range events {
			if err == nil { // else it is behind, or over
				printed("ended " + t.ID + " " + describe(t))
			}
		}
	})
	var submitting sync.WaitGroup
	const submitters = 8
	for i := range submitters {
		submitting.Go(func() {
			for k := from + i; k < n; k += submitters {
				id := strconv.Itoa(k)
				_, err := kind.Submit(ctx, k, &tasks.SubmitOptions{ID: id}) // or it is there already
				check(err)
				printed("added " + id)
			}
		})
	}
	submitting.Wait()
	for k := range n {
		_, err := m.Wait(ctx, strconv.Itoa(k))
		check(err)
	}
	check(m.Stop(ctx))
	work.Wait()
	check(s.Close())
	os.Exit(0)
}
