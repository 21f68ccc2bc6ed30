package tasks

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/internal/typed"
)

// Kind is a registered function: the typed way to its tasks.
type Kind[In, Out any] struct {
	m    *Manager
	kind *kind
}

// KindOptions are the defaults of a kind's tasks. The zero value of every field means its default.
type KindOptions struct {
	// Queue is where its tasks wait; default "default".
	Queue string
	// Timeout bounds one attempt; default none, and so below 0. For an isolated function it
	// includes the wait for a worker process.
	Timeout time.Duration
	// Retry says how often a failing task is tried; default once.
	Retry RetryPolicy
	// Unique makes every task of the kind unique; default not.
	Unique *UniqueOptions
	// Upgrade turns the payload of an older version into one of the registered version. Its error
	// fails the task. Default: it is taken as it is.
	Upgrade func(from int, payload jsontext.Value) (jsontext.Value, error)
	// Middleware is called around each run of its tasks, inside of Options.Middleware; default
	// none.
	Middleware []Middleware
	// Doc describes the kind for people, in Kinds and the OpenAPI document.
	Doc string
}

// KindInfo describes a registered kind.
type KindInfo struct {
	Name     string
	Version  int
	Queue    string
	Isolated bool
	In, Out  reflect.Type
	Doc      string
}

// kind is a registered function without its types.
type kind struct {
	KindInfo
	opts   KindOptions
	around []Middleware
	input  *typed.Input // of the payload
	// run runs the function in this goroutine. The payload is of the registered version.
	run func(ctx context.Context, a *attempt, payload jsontext.Value) (jsontext.Value, error)
}

// Register makes fn the function of the kind of that name, at a version of its payload of 1 or
// higher, and returns the handle by which tasks are submitted. Nil options are the defaults. A name
// or version that cannot be, or a name that is taken, is a mistake in the program and panics.
//
// In and Out are what JSON can hold, else it panics too (a channel or a function is not); an Out of
// struct{} is no result. When a task is submitted, Options.Validator looks at an In that is a
// struct, and then the method Validate() error of In or *In is called, where there is one; the
// values of default tags are those of that time, for who submits JSON, over HTTP or by
// Manager.Submit. fn runs in a goroutine, at most the queue's concurrency at once; its context ends
// when the task is cancelled or lost, at the timeout, and at the end of Stop's patience. A panic
// fails the attempt only.
func Register[In, Out any](m *Manager, name string, version int,
	fn func(ctx context.Context, in In) (Out, error), opts *KindOptions,
) *Kind[In, Out] {
	if m == nil || fn == nil {
		panic(fmt.Sprintf("tasks: Register(%q): a Manager and a function are needed", name))
	}
	k := newKind[In, Out](name, version, opts)
	k.run = func(ctx context.Context, _ *attempt, payload jsontext.Value) (jsontext.Value, error) {
		return call(ctx, k.input, fn, payload)
	}
	m.register(k)
	return &Kind[In, Out]{m: m, kind: k}
}

func newKind[In, Out any](name string, version int, opts *KindOptions) *kind {
	if opts == nil {
		opts = &KindOptions{}
	}
	k := &kind{
		KindInfo: KindInfo{
			Name: name, Version: version, In: reflect.TypeFor[In](),
			Out: reflect.TypeFor[Out](), Doc: opts.Doc, Queue: opts.Queue,
		},
		opts: *opts,
	}
	if k.Queue == "" {
		k.Queue = defaultQueue
	}
	k.opts.Timeout = max(k.opts.Timeout, 0)
	switch {
	case !validName(name):
		panic(fmt.Sprintf("tasks: kind %q: a name is 1 to %d bytes of A-Z, a-z, 0-9 and _.:@-",
			name, maxName))
	case !validName(k.Queue):
		panic(fmt.Sprintf("tasks: kind %q: bad queue name %q", name, k.Queue))
	case version < 1:
		panic(fmt.Sprintf("tasks: kind %q: version %d: the first is 1", name, version))
	}
	k.input = newInput[In](name)
	if _, err := typed.NewOutput(k.Out); err != nil {
		// else it was found when a task has run, and each time it has
		panic(fmt.Sprintf("tasks: kind %q: the result: %v%s", name, err, wayOut))
	}
	return k
}

// register adds k and lets the queues look for its tasks.
func (m *Manager) register(k *kind) {
	k.around = slices.Concat(m.opts.Middleware, k.opts.Middleware)
	if slices.ContainsFunc(k.around, func(around Middleware) bool { return around == nil }) {
		panic(fmt.Sprintf("tasks: kind %q: a Middleware that is nil", k.Name))
	}
	m.queues.add(k.Queue, QueueOptions{})
	if !m.kinds.add(k) {
		panic(fmt.Sprintf("tasks: kind %q is registered already", k.Name))
	}
	m.queues.wakeAll()
}

// kindSet are the registered kinds of a manager, which are read without a lock.
type kindSet struct {
	all      atomic.Pointer[map[string]*kind] // copied to be changed
	versions atomic.Pointer[map[string]int]   // of those that are claimed

	mu               lockorder.Mutex // of who changes all and versions
	isolatedWithheld bool            // isolated kinds are not claimed
}

func (s *kindSet) init() {
	s.all.Store(&map[string]*kind{})
	s.versions.Store(&map[string]int{})
}

// get is the kind of that name, nil when there is none.
func (s *kindSet) get(name string) *kind { return (*s.all.Load())[name] }

// claimed are the kinds that are claimed, each with the version of its payload.
func (s *kindSet) claimed() map[string]int { return *s.versions.Load() }

// add adds k, unless there is one of its name.
func (s *kindSet) add(k *kind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := maps.Clone(*s.all.Load())
	if all[k.Name] != nil {
		return false
	}
	all[k.Name] = k
	s.all.Store(&all)
	s.updateVersionsLocked()
	return true
}

// claimIsolated says whether isolated kinds are claimed.
func (s *kindSet) claimIsolated(claimed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.isolatedWithheld = !claimed
	s.updateVersionsLocked()
}

func (s *kindSet) updateVersionsLocked() {
	kinds := *s.all.Load()
	versions := make(map[string]int, len(kinds))
	for name, k := range kinds {
		if !k.Isolated || !s.isolatedWithheld {
			versions[name] = k.Version
		}
	}
	s.versions.Store(&versions)
}

// Kinds describes the registered kinds, sorted by name.
func (m *Manager) Kinds() []KindInfo {
	var all []KindInfo
	for _, k := range *m.kinds.all.Load() {
		all = append(all, k.KindInfo)
	}
	slices.SortFunc(all, func(a, b KindInfo) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Name is the kind's name.
func (k *Kind[In, Out]) Name() string { return k.kind.Name }

// Submit adds a task with in as its payload. Nil options are the defaults. For the errors see
// Manager.Submit.
func (k *Kind[In, Out]) Submit(ctx context.Context, in In, opts *SubmitOptions) (*Task, error) {
	payload, err := k.m.encodeInput(ctx, &in)
	if err != nil {
		return nil, err
	}
	return k.m.submit(ctx, k.kind.Name, k.kind, payload, opts)
}

// Result waits until the task is done and returns its result. For the errors see Manager.Result.
func (k *Kind[In, Out]) Result(ctx context.Context, id string) (Out, error) {
	return Result[Out](ctx, k.m, id)
}

// Submit adds a task of a kind for those that have not its handle.
func Submit[In any](ctx context.Context, m *Manager, kind string, in In,
	opts *SubmitOptions,
) (*Task, error) {
	payload, err := m.encodeInput(ctx, &in)
	if err != nil {
		return nil, err
	}
	return m.Submit(ctx, kind, payload, opts)
}

// Result waits until a task is done and returns its result as an Out, for those that have not its
// kind's handle. For the errors see Manager.Result.
func Result[Out any](ctx context.Context, m *Manager, id string) (out Out, err error) {
	raw, err := m.Result(ctx, id)
	if err != nil || len(raw) == 0 {
		return out, err
	}
	if v, ok := any(&out).(*jsontext.Value); ok {
		*v = raw
		return out, nil
	}
	if err := typed.Unmarshal(raw, &out); err != nil {
		return out, fmt.Errorf("tasks: the result of task %s: %w", id, err)
	}
	return out, nil
}
