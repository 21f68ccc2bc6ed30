package taskstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// answer is what a store gives at one moment.
type answer struct {
	of     string        // the method; "told" of a task by Claim or Watch; "stop" of Watch
	task   *tasks.Task   // of Add, Update and Get, and what is told of
	page   []*tasks.Task // of AddMany, List and Expired, and what Claim invents
	cursor string        // of List
	next   time.Time     // of Claim
	counts map[string]map[tasks.State]int
	err    error
	quiet  bool // a stop that does nothing, or a task that is not told of
	twice  bool // a task that is told of twice
}

// lie changes an answer, in what is not shared with the store, and reports whether it did.
type lie func(a *answer) bool

var errLie = errors.New("a store's own error")

// lies are those that a liar may tell, once in its life.
var lies = map[string]lie{
	"it did not work": func(a *answer) bool {
		ok := a.err == nil && a.of != "told" && a.of != "stop"
		if ok {
			a.err = errLie
		}
		return ok
	},
	"it worked": func(a *answer) bool {
		ok := a.err != nil
		if ok {
			a.task, a.err = &tasks.Task{}, nil
		}
		return ok
	},
	"it failed otherwise": func(a *answer) bool {
		ok := a.err != nil
		if ok {
			a.err = errLie
		}
		return ok
	},
	"no other is there": exists(func(e *tasks.ExistsError) { e.Task = nil }),
	"another is there":  exists(func(e *tasks.ExistsError) { e.Task = task("another") }),
	"the ID or the key": exists(func(e *tasks.ExistsError) { e.ID = !e.ID }),
	"fewer are refused": refused(func(all map[int]error) {
		maps.DeleteFunc(all, func(int, error) bool { return len(all) > 1 })
	}),
	"they are refused otherwise": refused(func(all map[int]error) {
		for i := range all {
			all[i] = errLie
		}
	}),
	"another priority": alteredAll(func(t *tasks.Task) { t.Priority++ }),
	"another ID":       alteredAll(func(t *tasks.Task) { t.ID += "'" }),
	"another owner":    altered(func(t *tasks.Task) { t.Owner += "'" }),
	"another state":    altered(func(t *tasks.Task) { t.State = "asleep" }),
	"a later revision": altered(func(t *tasks.Task) { t.Revision++ }),
	"a later attempt":  altered(func(t *tasks.Task) { t.Attempt++ }),
	"no fence":         altered(func(t *tasks.Task) { t.Fence = 0 }),
	"no seq":           altered(func(t *tasks.Task) { t.Seq = 0 }),
	"no result":        altered(func(t *tasks.Task) { t.Result = nil }),
	"no end":           altered(func(t *tasks.Task) { t.Finished = time.Time{} }),
	"a progress":       altered(func(t *tasks.Task) { t.Progress = &tasks.Progress{} }),
	"an error":         altered(func(t *tasks.Task) { t.Error = &tasks.TaskError{} }),
	"one less": func(a *answer) bool {
		if len(a.page) > 0 {
			a.page = a.page[:len(a.page)-1]
			return true
		}
		a.quiet = a.of == "told" || a.of == "stop"
		return a.quiet
	},
	"one more": func(a *answer) bool {
		switch a.of {
		case "told":
			a.twice = true
		case "AddMany", "List", "Expired", "Claim":
			a.page = append(slices.Clone(a.page), task("another"))
		default:
			return false
		}
		return true
	},
	"another page": func(a *answer) bool {
		if a.of != "List" {
			return false
		}
		if a.cursor == "" {
			a.cursor = "1"
		} else {
			a.cursor = ""
		}
		return true
	},
	"another time": func(a *answer) bool {
		a.next = noon.Add(100 * time.Hour)
		return a.of == "Claim"
	},
	"no time": func(a *answer) bool { a.next = time.Time{}; return a.of == "Claim" },
	"more tasks": counted(func(of map[tasks.State]int) {
		for state := range of {
			of[state]++
		}
	}),
	"other tasks": counted(func(of map[tasks.State]int) { of["asleep"]++ }),
	"another queue": func(a *answer) bool {
		if a.counts == nil {
			return false
		}
		a.counts = maps.Clone(a.counts)
		a.counts["another"] = map[tasks.State]int{}
		return true
	},
}

func exists(change func(e *tasks.ExistsError)) lie {
	return func(a *answer) bool {
		var e *tasks.ExistsError
		if !errors.As(a.err, &e) {
			return false
		}
		other := *e
		change(&other)
		a.err = &other
		return true
	}
}

func refused(change func(all map[int]error)) lie {
	return func(a *answer) bool {
		var e *tasks.BatchError
		if !errors.As(a.err, &e) {
			return false
		}
		other := tasks.BatchError{Errors: maps.Clone(e.Errors)}
		change(other.Errors)
		a.err = &other
		return true
	}
}

// altered is a lie about the task that is given.
func altered(change func(t *tasks.Task)) lie {
	return func(a *answer) bool {
		if a.err != nil || a.task == nil {
			return false
		}
		a.task = with(a.task, change)
		return true
	}
}

// alteredAll is altered, and the same about all tasks of a page.
func alteredAll(change func(t *tasks.Task)) lie {
	one := altered(change)
	return func(a *answer) bool {
		a.page = slices.Clone(a.page)
		for i, t := range a.page {
			a.page[i] = with(t, change)
		}
		return len(a.page) > 0 || one(a)
	}
}

func with(t *tasks.Task, change func(t *tasks.Task)) *tasks.Task {
	other := *t
	change(&other)
	return &other
}

func counted(change func(of map[tasks.State]int)) lie {
	return func(a *answer) bool {
		a.counts = maps.Clone(a.counts)
		for queue, of := range a.counts {
			a.counts[queue] = maps.Clone(of)
			change(a.counts[queue])
		}
		return len(a.counts) > 0
	}
}

// liar is a memory store that lies in one of its answers. It is for one goroutine.
type liar struct {
	*memstore.Store
	lie     lie // nil is the truth
	at      int // which answer it is
	answers int
	given   []given // all answers, of an honest store
	closed  bool
	watches int // that were not stopped
}

// given is an answer, as it is without a lie.
type given struct {
	answer
	by string // who asked for what: the stack, and what a list is of
}

// give is called with every answer before it is given.
func (s *liar) give(a answer, asked ...any) answer {
	if s.closed {
		return answer{err: errors.New("it was closed")}
	}
	if s.lie != nil {
		if s.answers++; s.answers-1 == s.at {
			s.lie(&a)
		}
		return a
	}
	callers := make([]uintptr, 8)
	callers = callers[:runtime.Callers(2, callers)]
	s.given = append(s.given, given{a, fmt.Sprint(callers, a.err == nil, asked)})
	return a
}

// tell calls f with t, as far as the liar is honest.
func (s *liar) tell(f func(t *tasks.Task), t *tasks.Task) {
	kept := *t // t is the caller's, which goes on to use it
	a := s.give(answer{of: "told", task: &kept})
	if !a.quiet {
		f(a.task)
	}
	if a.twice {
		f(a.task)
	}
}

func (s *liar) Add(ctx context.Context, t *tasks.Task, now time.Time, maxWaiting int) (*tasks.Task,
	error,
) {
	t, err := s.Store.Add(ctx, t, now, maxWaiting)
	a := s.give(answer{of: "Add", task: t, err: err})
	return a.task, a.err
}

func (s *liar) AddMany(ctx context.Context, ts []*tasks.Task, now time.Time,
	maxWaiting map[string]int,
) ([]*tasks.Task, error) {
	ts, err := s.Store.AddMany(ctx, ts, now, maxWaiting)
	a := s.give(answer{of: "AddMany", page: ts, err: err})
	return a.page, a.err
}

func (s *liar) Claim(ctx context.Context, c *tasks.Claim) (time.Time, error) {
	asked := *c
	asked.Claimed = func(t *tasks.Task) { s.tell(c.Claimed, t) }
	next, err := s.Store.Claim(ctx, &asked)
	a := s.give(answer{of: "Claim", next: next, err: err})
	for _, t := range a.page {
		c.Claimed(t)
	}
	return a.next, a.err
}

func (s *liar) Update(ctx context.Context, id string, now time.Time,
	change func(t *tasks.Task) error,
) (tasks.Task, error) {
	t, err := s.Store.Update(ctx, id, now, change)
	a := s.give(answer{of: "Update", task: &t, err: err})
	return *a.task, a.err
}

func (s *liar) Get(ctx context.Context, id string) (*tasks.Task, error) {
	t, err := s.Store.Get(ctx, id)
	a := s.give(answer{of: "Get", task: t, err: err})
	return a.task, a.err
}

func (s *liar) List(ctx context.Context, f *tasks.Filter) ([]*tasks.Task, string, error) {
	page, next, err := s.Store.List(ctx, f)
	var asked tasks.Filter
	if f != nil {
		asked = *f
		asked.Cursor, asked.Limit = "", 0
	}
	a := s.give(answer{of: "List", page: page, cursor: next, err: err}, asked)
	return a.page, a.cursor, a.err
}

func (s *liar) Expired(ctx context.Context, now time.Time, limit int) ([]*tasks.Task, error) {
	all, err := s.Store.Expired(ctx, now, limit)
	a := s.give(answer{of: "Expired", page: all, err: err})
	return a.page, a.err
}

func (s *liar) Delete(ctx context.Context, id string, revision uint64, now time.Time) error {
	return s.give(answer{of: "Delete", err: s.Store.Delete(ctx, id, revision, now)}).err
}

func (s *liar) Counts(ctx context.Context) (map[string]map[tasks.State]int, error) {
	all, err := s.Store.Counts(ctx)
	a := s.give(answer{of: "Counts", counts: all, err: err})
	return a.counts, a.err
}

func (s *liar) Watch(f func(t *tasks.Task)) (func(), error) {
	stop, err := s.Store.Watch(func(t *tasks.Task) { s.tell(f, t) })
	s.watches++
	return func() {
		s.watches--
		if !s.give(answer{of: "stop"}).quiet {
			stop()
		}
	}, s.give(answer{of: "Watch", err: err}).err
}

// reopened is the store after a restart: what had it open before does not work any more.
func (s *liar) reopened() *liar {
	next := *s
	s.closed = true
	return &next
}
