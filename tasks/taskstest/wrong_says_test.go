package taskstest

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// TestRules_SayWhatIsWrong is about faults that no single answer shows, and what is said of each.
func TestRules_SayWhatIsWrong(t *testing.T) {
	handed := map[string]*tasks.Task{} // of the store that changes what it has handed out
	claims := 0                        // of the store that forgets who is full
	for name, c := range map[string]struct {
		rule, says string
		store      *wrong
	}{
		"a batch that was refused is told of": {
			"AddManyRefused", "told of a0, which was refused",
			&wrong{
				watch: watchedToo,
				addMany: func(s *wrong, ctx context.Context, ts []*tasks.Task, now time.Time,
					most map[string]int,
				) ([]*tasks.Task, error) {
					added, err := s.Store.AddMany(ctx, ts, now, most)
					if err != nil {
						s.toldOf(ts[0])
					}
					return added, err
				},
			},
		},
		"a batch that came late failed otherwise": {
			"RaceAddMany", "a batch that came late: error a store's own error",
			&wrong{addMany: func(s *wrong, ctx context.Context, ts []*tasks.Task, now time.Time,
				most map[string]int,
			) ([]*tasks.Task, error) {
				added, err := s.Store.AddMany(ctx, ts, now, most)
				if err != nil {
					err = errLie
				}
				return added, err
			}},
		},
		"of a batch that came late the rest is added": {
			"RaceAddMany", "batches were added, and",
			&wrong{addMany: func(s *wrong, ctx context.Context, ts []*tasks.Task, now time.Time,
				most map[string]int,
			) ([]*tasks.Task, error) {
				added, err := s.Store.AddMany(ctx, ts, now, most)
				if err != nil {
					_, _ = s.Store.AddMany(ctx, ts[:len(ts)-1], now, most)
				}
				return added, err
			}},
		},
		"no key is asked for": {
			"ClaimKeys", "Full was asked about no key",
			&wrong{claim: func(c *tasks.Claim) {
				if c.Full != nil {
					c.Full("")
				}
			}},
		},
		"a key is full once": {
			"ClaimKeys", "all keys are full",
			&wrong{claim: func(c *tasks.Claim) {
				if claims++; claims == 2 {
					c.Full = nil
				}
			}},
		},
		"one kind is claimed": {
			"ClaimOrder", "the queue's order",
			&wrong{claim: func(c *tasks.Claim) { c.Kinds = map[string]int{"k": 1} }},
		},
		"the version that is asked for is not claimed": {
			"ClaimKinds", `of version 2 and older: ["old"]`,
			&wrong{claim: func(c *tasks.Claim) {
				if c.Kinds["k"] == 2 {
					c.Kinds = map[string]int{"k": 1}
				}
			}},
		},
		"fences do not rise": {
			"ClaimFence", "fence 7 after 7",
			&wrong{claim: sameFence},
		},
		"fences do not rise over a restart": {
			"ReopenFence", "fence 7 after 7",
			&wrong{claim: sameFence},
		},
		"what was handed out is changed": {
			"Update", "a snapshot was changed",
			&wrong{
				add: func(s *wrong, ctx context.Context, t *tasks.Task, now time.Time, most int,
				) (*tasks.Task, error) {
					added, err := s.Store.Add(ctx, t, now, most)
					if err == nil {
						kept := *added
						added, handed[t.ID] = &kept, &kept
					}
					return added, err
				},
				update: func(s *wrong, ctx context.Context, id string, now time.Time,
					change func(*tasks.Task) error,
				) (tasks.Task, error) {
					t, err := s.Store.Update(ctx, id, now, change)
					if err == nil {
						*handed[id] = t
					}
					return t, err
				},
			},
		},
		"what is not there is changed": {
			"Update", "called for what is not there",
			&wrong{
				update: func(s *wrong, ctx context.Context, id string, now time.Time,
					change func(*tasks.Task) error,
				) (tasks.Task, error) {
					t, err := s.Store.Update(ctx, id, now, change)
					if errors.Is(err, tasks.ErrNotFound) {
						_ = change(&t)
					}
					return t, err
				},
			},
		},
		"who adds what is there is told another": {
			"RaceAdd", "those that were refused were told of map[",
			&wrong{add: func(s *wrong, ctx context.Context, t *tasks.Task, now time.Time, most int,
			) (*tasks.Task, error) {
				added, err := s.Store.Add(ctx, t, now, most)
				if err != nil {
					err = &tasks.ExistsError{Task: t}
				}
				return added, err
			}},
		},
		"who adds what is there hears of a failure": {
			"RaceAdd", "Add: a store's own error",
			&wrong{add: func(s *wrong, ctx context.Context, t *tasks.Task, now time.Time, most int,
			) (*tasks.Task, error) {
				added, err := s.Store.Add(ctx, t, now, most)
				if err != nil {
					err = errLie
				}
				return added, err
			}},
		},
		"a key is many's": {
			"RaceAdd", "1 of one ID and 4 of one key were added",
			&wrong{add: func(s *wrong, ctx context.Context, t *tasks.Task, now time.Time, most int,
			) (*tasks.Task, error) {
				t.Unique = nil
				return s.Store.Add(ctx, t, now, most)
			}},
		},
		"updates overtake each other": {
			"RaceUpdate", "after 200 updates",
			&wrong{update: func(s *wrong, ctx context.Context, id string, now time.Time,
				change func(*tasks.Task) error,
			) (tasks.Task, error) {
				t, err := s.Get(ctx, id)
				if err != nil {
					return tasks.Task{}, err
				}
				kept := *t
				if err := change(&kept); err != nil {
					return tasks.Task{}, err
				}
				runtime.Gosched()
				return s.Store.Update(ctx, id, now,
					func(t *tasks.Task) error { kept.Revision = t.Revision; *t = kept; return nil })
			}},
		},
		"an end is no end": {
			"RaceUpdate", "won, it is",
			&wrong{update: func(s *wrong, ctx context.Context, id string, now time.Time,
				change func(*tasks.Task) error,
			) (tasks.Task, error) {
				t, err := s.Store.Update(ctx, id, now, change)
				if errors.Is(err, tasks.ErrConflict) {
					err = nil
				}
				return t, err
			}},
		},
		"who comes late hears of a failure": {
			"RaceUpdate", "who comes late: error a store's own error",
			&wrong{update: func(s *wrong, ctx context.Context, id string, now time.Time,
				change func(*tasks.Task) error,
			) (tasks.Task, error) {
				t, err := s.Store.Update(ctx, id, now, change)
				if err != nil {
					err = errLie
				}
				return t, err
			}},
		},
		"an update fails": {
			"RaceUpdate", "Update: a store's own error",
			&wrong{update: func(s *wrong, ctx context.Context, id string, now time.Time,
				change func(*tasks.Task) error,
			) (tasks.Task, error) {
				t, err := s.Store.Update(ctx, id, now, change)
				if err == nil && t.Progress != nil && t.Progress.Done == 7 {
					err = errLie
				}
				return t, err
			}},
		},
		"a change is not told of": {
			"RaceWatch", ": revision ",
			&wrong{watch: func(s *wrong, f func(*tasks.Task)) (func(), error) {
				return s.Store.Watch(func(t *tasks.Task) {
					if t.Revision != 5 {
						f(t)
					}
				})
			}},
		},
		"a watched update fails": {
			"RaceWatch", "Update: a store's own error",
			&wrong{update: failsOnce},
		},
		"a claimed task is of another": {
			"RaceClaim", "and belongs to",
			&wrong{claim: func(c *tasks.Claim) { c.Owner += "x" }},
		},
		"a task is handed out twice": {
			"RaceClaim", " ran 2 times",
			&wrong{claim: func(c *tasks.Claim) {
				claimed := c.Claimed
				c.Claimed = func(t *tasks.Task) { claimed(t); claimed(t) }
			}},
		},
		"a claimed update fails": {
			"RaceClaim", "Update: a store's own error",
			&wrong{update: failsOnce},
		},
		"an end is lost": {
			"RaceClaim", " succeeded, want 400",
			&wrong{update: func(s *wrong, ctx context.Context, id string, now time.Time,
				change func(*tasks.Task) error,
			) (tasks.Task, error) {
				if id == "0-7" {
					return tasks.Task{}, nil
				}
				return s.Store.Update(ctx, id, now, change)
			}},
		},
		"an Add fails": {
			"RaceClaim", "Add: a store's own error",
			&wrong{add: func(s *wrong, ctx context.Context, t *tasks.Task, now time.Time, most int,
			) (*tasks.Task, error) {
				if t.ID == "0-7" {
					return nil, errLie
				}
				return s.Store.Add(ctx, t, now, most)
			}},
		},
	} {
		t.Run(name, func(t *testing.T) { c.store.breaks(t, c.rule, c.says) })
	}
}

func sameFence(c *tasks.Claim) {
	claimed := c.Claimed
	c.Claimed = func(t *tasks.Task) {
		kept := *t
		kept.Fence = 7
		claimed(&kept)
	}
}

// failsOnce makes an update of a task that was changed before, and says that it did not.
func failsOnce(s *wrong, ctx context.Context, id string, now time.Time,
	change func(*tasks.Task) error,
) (tasks.Task, error) {
	t, err := s.Store.Update(ctx, id, now, change)
	if err == nil && t.Revision == 3 {
		err = errLie
	}
	return t, err
}
