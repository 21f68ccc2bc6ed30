package filestore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
)

// The child's environment: where the store and the ledger are, how many tasks there are, how many
// children were before it, and whether it waits to be killed when they have ended.
const (
	childDir   = "FILESTORE_CHILD"
	childTasks = "FILESTORE_CHILD_TASKS"
	childRound = "FILESTORE_CHILD_ROUND"
	childRests = "FILESTORE_CHILD_RESTS"
)

// chaosLease is short, so that takeovers of vanished holders belong to the test.
const chaosLease = 500 * time.Millisecond

// way is what becomes of a task.
type way struct {
	ends   tasks.State
	steps  int  // each with a checkpoint, longer together than there is between heartbeats
	fails  bool // at first
	cancel bool // by its submitter, after its acknowledgement
}

func fate(n uint64) way {
	switch {
	case n%50 == 2:
		return way{ends: tasks.Succeeded, cancel: true}
	case n%50 == 6:
		return way{ends: tasks.Failed}
	case n%10 == 4:
		return way{ends: tasks.Succeeded, fails: true}
	case n%20 == 8:
		return way{ends: tasks.Succeeded, steps: 3}
	}
	return way{ends: tasks.Succeeded}
}

// actor is the child.
type actor struct {
	mu   sync.Mutex
	file *os.File
	past *ledger // by those before it, and by itself
}

// check ends the process: the parent fails then.
func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(3)
	}
}

// say writes a line down, which a kill does not take back, and tells the parent. A run with an
// older fence than the ledger has seen is refused, as a ledger with fencing tokens does.
func (c *actor) say(what, id string, fence uint64, more string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if (what == "begun" || what == "saved" || what == "done") && fence < c.past.fence[id] {
		return tasks.ErrStale
	}
	c.past.add(what, id, fence, more)
	line := fmt.Sprintf("%s %s %d %s\n", what, id, fence, more)
	_, err := c.file.WriteString(line)
	check(err)
	_, err = os.Stdout.WriteString(line)
	check(err)
	return nil
}

// work is the tasks' function.
func (c *actor) work(ctx context.Context, n uint64) (uint64, error) {
	run, way := tasks.RunFrom(ctx), fate(n)
	var from int
	if _, err := run.Restore(&from); err != nil {
		return 0, err
	}
	if err := c.say("begun", run.ID(), run.Fence(), strconv.Itoa(from)); err != nil {
		return 0, err
	}
	switch {
	case way.ends == tasks.Failed:
		return 0, tasks.Permanent(errors.New("for good"))
	case way.fails && run.Attempt() == 1:
		return 0, errors.New("at first")
	}
	for step := from + 1; step <= way.steps; step++ {
		select {
		case <-time.After(chaosLease / 6):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		if err := errors.Join(run.Progress(tasks.Progress{Done: float64(step), Total: 3}),
			run.Checkpoint(step)); err != nil {
			return 0, err
		}
		if err := c.say("saved", run.ID(), run.Fence(), strconv.Itoa(step)); err != nil {
			return 0, err
		}
	}
	return run.Fence(), c.say("done", run.ID(), run.Fence(), "-")
}

// child submits what was not acknowledged yet, and runs all, with two managers on the store, until
// every task has ended.
func child(dir string) {
	n, err := strconv.Atoi(os.Getenv(childTasks))
	check(err)
	round, err := strconv.Atoi(os.Getenv(childRound))
	check(err)
	c := &actor{}
	path := filepath.Join(dir, "ledger")
	b, err := os.ReadFile(path)
	if !errors.Is(err, os.ErrNotExist) {
		check(err)
	}
	c.past = parseLedger(string(b))
	c.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	check(err)
	_, err = c.file.WriteString("\n") // after what may have been cut off
	check(err)
	s, err := filestore.Open(filepath.Join(dir, "store"), small)
	check(err)
	_, err = s.Watch(func(t *tasks.Task) {
		if t.State.Done() {
			check(c.say("ended", t.ID, t.Fence, string(t.State)))
		}
	})
	check(err)
	ctx := context.Background()
	var managers []*tasks.Manager
	var kinds []*tasks.Kind[uint64, uint64]
	for _, owner := range []string{"left", "right"} {
		o := &tasks.Options{
			Lease: chaosLease, Retention: -1, Owner: owner,
			Logger: slog.New(slog.DiscardHandler),
			Queues: map[string]tasks.QueueOptions{"default": {Concurrency: 8}},
		}
		if round%3 == 2 {
			o.Owner = "" // one of a new name: it waits for the leases of those before
		}
		m := tasks.New(s, o)
		kinds = append(kinds,
			tasks.Register(m, "work", 1, c.work,
				&tasks.KindOptions{
					Retry: tasks.RetryPolicy{
						Attempts: 9, Min: time.Millisecond,
						Max: 9 * time.Millisecond,
					},
				}))
		check(m.Start(ctx))
		managers = append(managers, m)
	}
	c.submit(ctx, managers, kinds, n)
	for i := range n {
		_, err := managers[i%2].Wait(ctx, strconv.Itoa(i))
		check(err)
	}
	if os.Getenv(childRests) == "true" {
		_, err := os.Stdout.WriteString("rests\n")
		check(err)
		select {} // but for the store's timers nothing runs
	}
	for _, m := range managers {
		check(m.Stop(ctx))
	}
	check(s.Stop(context.Background()))
	os.Exit(0)
}

// submit submits, by several at once.
func (c *actor) submit(ctx context.Context, managers []*tasks.Manager,
	kinds []*tasks.Kind[uint64, uint64], n int,
) {
	c.mu.Lock()
	var ids []int
	for i := range n {
		if !c.past.acked[strconv.Itoa(i)] {
			ids = append(ids, i)
		}
	}
	c.mu.Unlock()
	const submitters = 8
	var work sync.WaitGroup
	for i := range submitters {
		work.Go(func() {
			for k := i; k < len(ids); k += submitters {
				id := strconv.Itoa(ids[k])
				// It may be there: a kill came between the disk and the line.
				_, err := kinds[i%2].Submit(ctx, uint64(ids[k]),
					&tasks.SubmitOptions{ID: id})
				check(err)
				check(c.say("acked", id, 0, "-"))
				if !fate(uint64(ids[k])).cancel {
					continue
				}
				if _, err = managers[1-i%2].Cancel(ctx, id); !errors.Is(err, tasks.ErrConflict) {
					// else it was quicker
					check(err)
					check(c.say("cancelled", id, 0, "-"))
				}
			}
		})
	}
	work.Wait()
}
