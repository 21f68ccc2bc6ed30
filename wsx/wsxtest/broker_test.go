package wsxtest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// verdict is a testing.TB that only remembers what went wrong.
type verdict struct {
	testing.TB // for what is not below
	ctx        context.Context

	mu       sync.Mutex
	failures []string
	cleanups []func()
}

func (v *verdict) Helper()                  {}
func (v *verdict) Context() context.Context { return v.ctx }

func (v *verdict) Cleanup(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.cleanups = append(v.cleanups, f)
}

func (v *verdict) add(s string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.failures = append(v.failures, s)
}

func (v *verdict) Error(args ...any)                 { v.add(fmt.Sprint(args...)) }
func (v *verdict) Errorf(format string, args ...any) { v.add(fmt.Sprintf(format, args...)) }

func (v *verdict) Fatal(args ...any) {
	v.Error(args...)
	runtime.Goexit()
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.Errorf(format, args...)
	runtime.Goexit()
}

// judge runs one rule on a broker and returns what is wrong with it.
func judge(t *testing.T, check func(testing.TB, func() broker.Broker),
	open func() broker.Broker,
) []string {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // for what never comes
	defer cancel()
	v := &verdict{TB: t, ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		check(v, open)
	}()
	<-done
	for i := len(v.cleanups) - 1; i >= 0; i-- {
		v.cleanups[i]()
	}
	return v.failures
}

// mutant is a memory broker with a fault.
type mutant struct {
	*broker.Memory
	attach   func(b *mutant, r broker.Receiver) (func() error, error)
	publish  func(b *mutant, e broker.Event, h broker.History) (broker.Position, error)
	interest func(b *mutant, r broker.Receiver, name string, on bool) error
	since    func(b *mutant, channel string, from broker.Position, h broker.History) (broker.Replay,
		error)
	members func(b *mutant, channel string) ([]broker.Member, error)
	leave   func(b *mutant, r broker.Receiver, channel string, m broker.Member) error

	mu        sync.Mutex
	receivers []broker.Receiver
	n         int
	left      broker.Member // last
}

func (b *mutant) Attach(r broker.Receiver) (func() error, error) {
	b.mu.Lock()
	b.receivers = append(b.receivers, r)
	b.mu.Unlock()
	if b.attach != nil {
		return b.attach(b, r)
	}
	return b.Memory.Attach(r)
}

func (b *mutant) Publish(ctx context.Context, e broker.Event, h broker.History) (broker.Position,
	error,
) {
	if b.publish != nil {
		return b.publish(b, e, h)
	}
	return b.Memory.Publish(ctx, e, h)
}

func (b *mutant) Interest(ctx context.Context, r broker.Receiver, name string, on bool) error {
	if b.interest != nil {
		return b.interest(b, r, name, on)
	}
	return b.Memory.Interest(ctx, r, name, on)
}

func (b *mutant) Since(ctx context.Context, channel string, from broker.Position,
	h broker.History,
) (broker.Replay, error) {
	if b.since != nil {
		return b.since(b, channel, from, h)
	}
	return b.Memory.Since(ctx, channel, from, h)
}

func (b *mutant) Members(ctx context.Context, channel string) ([]broker.Member, error) {
	if b.members != nil {
		return b.members(b, channel)
	}
	return b.Memory.Members(ctx, channel)
}

func (b *mutant) Leave(ctx context.Context, r broker.Receiver, channel string,
	m broker.Member,
) error {
	if b.leave != nil {
		return b.leave(b, r, channel, m)
	}
	return b.Memory.Leave(ctx, r, channel, m)
}

// all are the hubs that were ever attached.
func (b *mutant) all() []broker.Receiver {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]broker.Receiver(nil), b.receivers...)
}

// deafReceiver loses or changes what its hub gets.
type deafReceiver struct {
	broker.Receiver
	hear func(e broker.Event) bool
}

func (r *deafReceiver) Event(e broker.Event) {
	if r.hear(e) {
		r.Receiver.Event(e)
	}
}

func TestExerciseBroker_PassesABrokerThatKeepsTheContract(t *testing.T) {
	ExerciseBroker(t, func(testing.TB) func() broker.Broker {
		b := broker.NewMemory()
		return func() broker.Broker { return b }
	})
}

// TestExerciseBroker_FailsEveryMutant, by at least the rule that it breaks.
func TestExerciseBroker_FailsEveryMutant(t *testing.T) {
	ctx := t.Context()
	for name, tc := range map[string]struct {
		rule   string // its beginning
		mutant *mutant
	}{
		"delivers to hubs without an interest": {
			"delivers to every hub",
			&mutant{
				publish: func(b *mutant, e broker.Event,
					h broker.History,
				) (broker.Position, error) {
					for _, r := range b.all() {
						r.Event(e)
					}
					return b.Memory.Publish(ctx, e, h)
				},
			},
		},
		"changes the payload": {
			"delivers to every hub",
			&mutant{
				publish: func(b *mutant, e broker.Event,
					h broker.History,
				) (broker.Position, error) {
					e.Payload = e.Payload.Clone()
					_ = e.Payload.Compact()
					return b.Memory.Publish(ctx, e, h)
				},
			},
		},
		"numbers without history": {
			"delivers to every hub",
			&mutant{
				publish: func(b *mutant, e broker.Event,
					_ broker.History,
				) (broker.Position, error) {
					return b.Memory.Publish(ctx, e, kept)
				},
			},
		},
		"delivers twice": {
			"delivers by pattern",
			&mutant{
				publish: func(b *mutant, e broker.Event,
					h broker.History,
				) (broker.Position, error) {
					_, _ = b.Memory.Publish(ctx, e, h)
					return b.Memory.Publish(ctx, e, h)
				},
			},
		},
		"takes > for one token": {
			"delivers by pattern",
			&mutant{interest: func(b *mutant, r broker.Receiver, name string, on bool) error {
				return b.Memory.Interest(ctx, r, strings.ReplaceAll(name, ">", "*"), on)
			}},
		},
		"keeps interests": {
			"delivers nothing after",
			&mutant{interest: func(b *mutant, r broker.Receiver, name string, on bool) error {
				if !on {
					return nil
				}
				return b.Memory.Interest(ctx, r, name, on)
			}},
		},
		"does not detach": {
			"delivers nothing after",
			&mutant{attach: func(b *mutant, r broker.Receiver) (func() error, error) {
				_, err := b.Memory.Attach(r)
				return func() error { return nil }, err
			}},
		},
		"takes any hub": {
			"refuses hubs",
			&mutant{interest: func(b *mutant, r broker.Receiver, name string, on bool) error {
				_ = b.Memory.Interest(ctx, r, name, on)
				return nil
			}},
		},
		"swaps events": {
			"keeps the order",
			&mutant{
				publish: func(b *mutant, e broker.Event,
					h broker.History,
				) (broker.Position, error) {
					b.mu.Lock()
					b.n++
					late := b.n == 200
					b.mu.Unlock()
					if late {
						first := e
						first.Payload = jsontext.Value(
							strings.Replace(string(e.Payload), ",", ",1", 1))
						_, _ = b.Memory.Publish(ctx, first, h)
					}
					return b.Memory.Publish(ctx, e, h)
				},
			},
		},
		"begins at 0": {
			"numbers the events",
			&mutant{
				publish: func(b *mutant, e broker.Event,
					h broker.History,
				) (broker.Position, error) {
					pos, err := b.Memory.Publish(ctx, e, h)
					pos.Offset--
					return pos, err
				},
			},
		},
		"keeps too much": {"keeps as many", &mutant{
			publish: func(b *mutant, e broker.Event,
				h broker.History,
			) (broker.Position, error) {
				h.Size++
				return b.Memory.Publish(ctx, e, h)
			},
			since: func(b *mutant, channel string, from broker.Position,
				h broker.History) (broker.Replay,
				error,
			) {
				h.Size++
				return b.Memory.Since(ctx, channel, from, h)
			},
		}},
		"forgets no age": {"keeps as many", &mutant{
			publish: func(b *mutant, e broker.Event,
				h broker.History,
			) (broker.Position, error) {
				h.Age = 0
				return b.Memory.Publish(ctx, e, h)
			},
			since: func(b *mutant, channel string, from broker.Position,
				h broker.History) (broker.Replay,
				error,
			) {
				h.Age = 0
				return b.Memory.Since(ctx, channel, from, h)
			},
		}},
		"says complete when it is not": {
			"replays what was missed",
			&mutant{
				since: func(b *mutant, channel string, from broker.Position,
					h broker.History,
				) (broker.Replay, error) {
					r, err := b.Memory.Since(ctx, channel, from, h)
					r.Complete = true
					return r, err
				},
			},
		},
		"replays one too many": {
			"replays what was missed",
			&mutant{
				since: func(b *mutant, channel string, from broker.Position,
					h broker.History,
				) (broker.Replay, error) {
					if from.Offset > 0 {
						from.Offset--
					}
					return b.Memory.Since(ctx, channel, from, h)
				},
			},
		},
		"replays all but the newest": {
			"replays what was missed",
			&mutant{
				since: func(b *mutant, channel string, from broker.Position,
					h broker.History,
				) (broker.Replay, error) {
					r, err := b.Memory.Since(ctx, channel, from, h)
					if n := len(r.Events); n > 0 {
						r.Events = r.Events[:n-1]
					}
					return r, err
				},
			},
		},
		"loses the trace": {
			"carries the trace",
			&mutant{
				publish: func(b *mutant, e broker.Event,
					h broker.History,
				) (broker.Position, error) {
					e.Trace = broker.Trace{}
					return b.Memory.Publish(ctx, e, h)
				},
			},
		},
		"keeps no trace": {
			"carries the trace",
			&mutant{
				since: func(b *mutant, channel string, from broker.Position,
					h broker.History,
				) (broker.Replay, error) {
					r, err := b.Memory.Since(ctx, channel, from, h)
					for i := range r.Events {
						r.Events[i].Trace.State = ""
					}
					return r, err
				},
			},
		},
		"believes the position that it is given": {
			"carries the trace",
			&mutant{
				publish: func(b *mutant, e broker.Event,
					h broker.History,
				) (broker.Position, error) {
					p, err := b.Memory.Publish(ctx, e, h)
					if h.Size == 0 {
						p = e.Position
					}
					return p, err
				},
			},
		},
		"has an interest too late": {
			"hands over",
			&mutant{attach: func(b *mutant, r broker.Receiver) (func() error, error) {
				seen := 0
				return b.Memory.Attach(&deafReceiver{
					r,
					func(broker.Event) bool { seen++; return seen > 3 },
				})
			}, interest: func(b *mutant, r broker.Receiver, name string, on bool) error {
				return nil
			}},
		},
		"does not number who is present": {
			"keeps who is present",
			&mutant{members: func(b *mutant, channel string) ([]broker.Member, error) {
				all, err := b.Memory.Members(ctx, channel)
				for i := range all {
					all[i].Seq = 1
				}
				return all, err
			}},
		},
		"counts who has left among the others": {"keeps who is present", &mutant{
			leave: func(b *mutant, r broker.Receiver, channel string, m broker.Member) error {
				b.left = m
				return b.Memory.Leave(ctx, r, channel, m)
			},
			members: func(b *mutant, channel string) ([]broker.Member, error) {
				all, err := b.Memory.Members(ctx, channel)
				if b.left != (broker.Member{}) && len(all) > 0 &&
					!slices.ContainsFunc(all,
						func(m broker.Member) bool { return m.Conn == b.left.Conn }) {
					all = append(all, b.left)
				}
				return all, err
			},
		}},
		"does not tell of leaving": {
			"keeps who is present",
			&mutant{leave: func(*mutant, broker.Receiver, string, broker.Member) error {
				return nil
			}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := false
			for _, rule := range brokerRules {
				if !strings.HasPrefix(rule.name, tc.rule) {
					continue
				}
				b := tc.mutant
				b.Memory = broker.NewMemory()
				found = true
				if failures := judge(t, rule.check,
					func() broker.Broker { return b }); len(failures) == 0 {
					t.Errorf("%q passes it", rule.name)
				}
			}
			if !found {
				t.Errorf("no rule %q", tc.rule)
			}
		})
	}
}

func TestServe_RefusesNoHandler(t *testing.T) {
	if got := judge(t, func(t testing.TB, _ func() broker.Broker) { Serve(t, nil) },
		nil); len(got) !=
		1 || !strings.Contains(got[0], "the handler is nil") {
		t.Errorf("%q", got)
	}
	if _, err := LoadSuite(nil); err == nil {
		t.Error("a suite of no files")
	}
}
