package taskstest

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// wrongs are faults, each with a rule that it breaks.
var wrongs = map[string]struct {
	rule  string
	store *wrong
}{
	"an ID is taken by who comes last": {
		"AddTakenID",
		&wrong{
			add: func(s *wrong, ctx context.Context, t *tasks.Task, now time.Time,
				_ int,
			) (*tasks.Task, error) {
				if other, err := s.Get(ctx, t.ID); err == nil {
					return other, nil
				}
				return s.Store.Add(ctx, t, now, 0)
			},
		},
	},
	"as many wait as like": {
		"AddMaxWaiting",
		&wrong{
			add: func(s *wrong, ctx context.Context, t *tasks.Task, now time.Time,
				_ int,
			) (*tasks.Task, error) {
				return s.Store.Add(ctx, t, now, 0)
			},
		},
	},
	"unique keys are nobody's": {
		"UniqueWaiting",
		&wrong{
			add: func(s *wrong, ctx context.Context, t *tasks.Task, now time.Time,
				_ int,
			) (*tasks.Task, error) {
				t.Unique = nil
				return s.Store.Add(ctx, t, now, 0)
			},
		},
	},
	"what is no task is added": {
		"AddInvalid",
		&wrong{
			add: func(s *wrong, ctx context.Context, t *tasks.Task, now time.Time,
				most int,
			) (*tasks.Task, error) {
				if added, err := s.Store.Add(ctx, t, now, most); err == nil {
					return added, nil
				}
				return t, nil
			},
		},
	},
	"a batch is added one by one": {
		"AddManyRefused",
		&wrong{
			addMany: func(s *wrong, ctx context.Context, ts []*tasks.Task, now time.Time,
				_ map[string]int,
			) ([]*tasks.Task, error) {
				for _, t := range ts {
					if _, err := s.Store.Add(ctx, t, now, 0); err != nil {
						return nil, err
					}
				}
				return ts, nil
			},
		},
	},
	"a batch is seen by halves": {
		"RaceAddMany",
		&wrong{
			addMany: func(s *wrong, ctx context.Context, ts []*tasks.Task, now time.Time,
				most map[string]int,
			) ([]*tasks.Task, error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				if _, err := s.Get(ctx, ts[len(ts)-1].ID); err == nil {
					return s.Store.AddMany(ctx, ts, now, most) // which is refused
				}
				first, err := s.Store.AddMany(ctx, ts[:len(ts)/2], now, most)
				if err != nil {
					return nil, err
				}
				for range 1000 {
					runtime.Gosched()
				}
				second, err := s.Store.AddMany(ctx, ts[len(ts)/2:], now, most)
				return append(first, second...), err
			},
		},
	},
	"what comes behind a batch is numbered before it": {
		"AddMany",
		&wrong{
			add: func(s *wrong, ctx context.Context, t *tasks.Task, now time.Time,
				most int,
			) (*tasks.Task, error) {
				added, err := s.Store.Add(ctx, t, now, most)
				if err == nil && added.Seq > 10 {
					added.Seq = 10
				}
				return added, err
			},
		},
	},
	"a batch is turned round": {
		"AddMany",
		&wrong{
			addMany: func(s *wrong, ctx context.Context, ts []*tasks.Task, now time.Time,
				most map[string]int,
			) ([]*tasks.Task, error) {
				turned := make([]*tasks.Task, 0, len(ts))
				for i := range ts {
					turned = append(turned, ts[len(ts)-1-i])
				}
				return s.Store.AddMany(ctx, turned, now, most)
			},
		},
	},
	"all kinds are claimed": {
		"ClaimKinds",
		&wrong{claim: func(c *tasks.Claim) { c.Kinds = map[string]int{"k": 9, "l": 9, "m": 9} }},
	},
	"keys have no limit": {
		"ClaimKeys",
		&wrong{claim: func(c *tasks.Claim) { c.Full = nil }},
	},
	"nobody is wary": {
		"ClaimSkipDied",
		&wrong{claim: func(c *tasks.Claim) { c.SkipDied = nil }},
	},
	"what is not due is claimed": {
		"ClaimDue",
		&wrong{claim: func(c *tasks.Claim) { c.Now = c.Now.Add(100 * time.Hour) }},
	},
	"leases are of another length": {
		"Claim",
		&wrong{claim: func(c *tasks.Claim) { c.Lease++ }},
	},
	"claims belong to another": {
		"Claim",
		&wrong{claim: func(c *tasks.Claim) { c.Owner += "x" }},
	},
	"more are claimed": {
		"Claim",
		&wrong{claim: func(c *tasks.Claim) { c.Max++ }},
	},
	"a claim is told of twice": {
		"Claim",
		&wrong{claim: func(c *tasks.Claim) {
			f := c.Claimed
			c.Claimed = func(t *tasks.Task) { f(t); f(t) }
		}},
	},
	"the claim is of another queue": {
		"Claim",
		&wrong{claim: func(c *tasks.Claim) { c.Queue = "other" }},
	},
	"the first that was claimed is claimed again": {"Claim", &wrong{claim: twice()}},
	"nothing is claimed": {
		"Update",
		&wrong{claim: func(c *tasks.Claim) { c.Max = 0 }},
	},
	"an update is forgotten": {
		"Update",
		&wrong{
			update: func(s *wrong, ctx context.Context, id string, _ time.Time,
				change func(*tasks.Task) error,
			) (tasks.Task, error) {
				t, err := s.Get(ctx, id)
				if err != nil {
					return tasks.Task{}, err
				}
				kept := *t
				return kept, change(&kept)
			},
		},
	},
	"an update that is refused is made": {
		"UpdateRefused",
		&wrong{
			update: func(s *wrong, ctx context.Context, id string, now time.Time,
				change func(*tasks.Task) error,
			) (tasks.Task, error) {
				return s.Store.Update(ctx, id, now,
					func(t *tasks.Task) error { _ = change(t); return nil })
			},
		},
	},
	"leases end early": {
		"Expired",
		&wrong{
			expired: func(s *wrong, ctx context.Context, now time.Time, limit int) ([]*tasks.Task,
				error,
			) {
				return s.Store.Expired(ctx, now.Add(time.Hour), limit)
			},
		},
	},
	"any number has expired": {
		"Expired",
		&wrong{
			expired: func(s *wrong, ctx context.Context, now time.Time, _ int) ([]*tasks.Task,
				error,
			) {
				return s.Store.Expired(ctx, now, 1000)
			},
		},
	},
	"a revision is deleted unseen": {
		"Delete",
		&wrong{
			remove: func(s *wrong, ctx context.Context, id string, _ uint64, now time.Time) error {
				t, err := s.Get(ctx, id)
				if err != nil {
					return err
				}
				return s.Store.Delete(ctx, id, t.Revision, now)
			},
		},
	},
	"nothing is deleted": {
		"Delete",
		&wrong{remove: func(*wrong, context.Context, string, uint64, time.Time) error {
			return nil
		}},
	},
	"none are counted as none": {
		"Counts",
		&wrong{counts: func(all map[string]map[tasks.State]int) {
			all["empty"] = map[tasks.State]int{tasks.Queued: 0}
		}},
	},
	"a queue is not counted": {
		"Counts",
		&wrong{counts: func(all map[string]map[tasks.State]int) { clear(all) }},
	},
	"there is one page": {
		"ListPages",
		&wrong{listed: func(page []*tasks.Task, _ string) ([]*tasks.Task, string) {
			return page, ""
		}},
	},
	"pages have any length": {
		"ListPages",
		&wrong{list: func(f *tasks.Filter) { f.Limit = 1000 }},
	},
	"the last is on no page": {
		"ListWhileChanging",
		&wrong{listed: func(page []*tasks.Task, next string) ([]*tasks.Task, string) {
			return page[:max(len(page)-1, 0)], next
		}},
	},
	"what changes is on no page": {
		"ListWhileChanging",
		&wrong{listed: func(page []*tasks.Task, next string) ([]*tasks.Task, string) {
			return slices.DeleteFunc(page, func(t *tasks.Task) bool { return t.Deaths > 0 }), next
		}},
	},
	"states are not looked at": {
		"ListFilters",
		&wrong{list: func(f *tasks.Filter) { f.States = nil }},
	},
	"queues are not looked at": {
		"ListFilters",
		&wrong{list: func(f *tasks.Filter) { f.Queue = "" }},
	},
	"kinds are not looked at": {
		"ListFilters",
		&wrong{list: func(f *tasks.Filter) { f.Kind = "" }},
	},
	"of metadata one member is looked at": {"ListFilters", &wrong{list: func(f *tasks.Filter) {
		if len(f.Metadata) > 1 {
			f.Metadata = map[string]string{"five": f.Metadata["five"]}
		}
	}}},
	"metadata is not looked at": {
		"ListFilters",
		&wrong{list: func(f *tasks.Filter) { f.Metadata = nil }},
	},
	"when it was done is not looked at": {
		"ListFilters",
		&wrong{list: func(f *tasks.Filter) { f.Before = time.Time{} }},
	},
	"a watcher hears of nothing": {
		"Watch",
		&wrong{watch: func(*wrong, func(*tasks.Task)) (func(), error) { return func() {}, nil }},
	},
	"a watcher hears twice": {
		"Watch",
		&wrong{watch: func(s *wrong, f func(*tasks.Task)) (func(), error) {
			return s.Store.Watch(func(t *tasks.Task) { f(t); f(t) })
		}},
	},
	"a watcher is not told of claims": {
		"Watch",
		&wrong{watch: func(s *wrong, f func(*tasks.Task)) (func(), error) {
			return s.Store.Watch(func(t *tasks.Task) {
				if t.State != tasks.Running {
					f(t)
				}
			})
		}},
	},
	"a watcher hears after stop": {
		"Watch",
		&wrong{watch: func(s *wrong, f func(*tasks.Task)) (func(), error) {
			_, err := s.Store.Watch(f)
			return func() {}, err
		}},
	},
	"a watcher hears of what was deleted": {
		"Watch",
		&wrong{
			watch: watchedToo,
			remove: func(s *wrong, ctx context.Context, id string, revision uint64,
				now time.Time,
			) error {
				t, _ := s.Get(ctx, id)
				err := s.Store.Delete(ctx, id, revision, now)
				if err == nil {
					s.toldOf(t)
				}
				return err
			},
		},
	},
	"a watcher hears of what was refused": {
		"Watch",
		&wrong{
			watch: watchedLast,
			update: func(s *wrong, ctx context.Context, id string, now time.Time,
				change func(*tasks.Task) error,
			) (tasks.Task, error) {
				t, err := s.Store.Update(ctx, id, now, change)
				if err != nil {
					s.toldOf(&tasks.Task{ID: id})
				}
				return t, err
			},
		},
	},
	"a context's end is not heard of": {
		"Context",
		&wrong{
			add: func(s *wrong, ctx context.Context, t *tasks.Task, now time.Time,
				most int,
			) (*tasks.Task, error) {
				return s.Store.Add(context.WithoutCancel(ctx), t, now, most)
			},
		},
	},
}

// Each fault is found by the rule that it breaks: what an Exercise cannot find, it does not test.
func TestRules_FindWhatIsWrong(t *testing.T) {
	for name, w := range wrongs {
		t.Run(name, func(t *testing.T) { w.store.breaks(t, w.rule, "") })
	}
}

// breaks expects that a rule says what of a store with the fault.
func (s *wrong) breaks(t *testing.T, rule, what string) {
	t.Helper()
	open := func() *wrong {
		return &wrong{
			Store: memstore.New(), add: s.add, addMany: s.addMany, claim: s.claim,
			update: s.update, list: s.list, listed: s.listed, expired: s.expired, remove: s.remove,
			counts: s.counts, watch: s.watch,
		}
	}
	v := &verdict{TB: t}
	h := Harness{
		Patience: 100 * time.Millisecond,
		Open:     func(testing.TB) tasks.Store { return open() },
		Reopen:   func(_ testing.TB, s tasks.Store) tasks.Store { return s },
	}
	test := all()[rule]
	if test == nil {
		t.Fatalf("there is no rule %s", rule)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		test(&suite{TB: v, h: h, s: h.Open(v)})
	}()
	<-done
	for _, f := range v.cleanups {
		f()
	}
	if !slices.ContainsFunc(v.failures,
		func(said string) bool { return strings.Contains(said, what) }) {
		t.Errorf("%s says %q, not %q", rule, v.failures, what)
	}
}
