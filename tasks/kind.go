package tasks

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
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
	// Timeout bounds one attempt; default none, and so below 0. For an isolated function it includes the wait for a worker process.
	Timeout time.Duration
	// Retry says how often a failing task is tried; default once.
	Retry RetryPolicy
	// Unique makes every task of the kind unique; default not.
	Unique *UniqueOptions
	// Upgrade turns the payload of an older version into one of the registered version. Its error fails the task. Default: it is taken as it is.
	Upgrade func(from int, payload jsontext.Value) (jsontext.Value, error)
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
	opts  KindOptions
	check func(payload jsontext.Value) error // whether it is a valid In; an *InputError when not
	// run runs the function in this goroutine. The payload is of the registered version.
	run func(ctx context.Context, a *attempt, payload jsontext.Value) (jsontext.Value, error)
}

// Register makes fn the function of the kind of that name, at a version of its payload of 1 or higher, and returns the handle by which tasks are submitted. Nil
// options are the defaults. A name or version that cannot be, or a name that is taken, is a mistake in the program and panics.
//
// In and Out are what JSON can hold; an Out of struct{} is no result. If In or *In has a method Validate() error, it is called when a task is submitted. fn runs in a goroutine,
// at most the queue's concurrency at once; its context ends when the task is cancelled or lost, at the timeout, and at the end of Stop's patience. A panic fails the attempt only.
func Register[In, Out any](m *Manager, name string, version int, fn func(ctx context.Context, in In) (Out, error), opts *KindOptions) *Kind[In, Out] {
	if fn == nil {
		panic(fmt.Sprintf("tasks: Register(%q): nil function", name))
	}
	k := newKind[In, Out](name, version, opts)
	k.run = func(ctx context.Context, _ *attempt, payload jsontext.Value) (jsontext.Value, error) {
		return call(ctx, fn, payload)
	}
	m.register(k)
	return &Kind[In, Out]{m: m, kind: k}
}

func newKind[In, Out any](name string, version int, opts *KindOptions) *kind {
	if opts == nil {
		opts = &KindOptions{}
	}
	k := &kind{
		KindInfo: KindInfo{Name: name, Version: version, In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out](), Doc: opts.Doc, Queue: opts.Queue},
		opts:     *opts,
		check: func(payload jsontext.Value) error {
			in := new(In)
			return decodeInput(payload, in)
		},
	}
	if k.Queue == "" {
		k.Queue = defaultQueue
	}
	k.opts.Timeout = max(k.opts.Timeout, 0)
	switch {
	case !validName(name):
		panic(fmt.Sprintf("tasks: kind %q: a name is 1 to %d bytes of A-Z, a-z, 0-9 and _.:@-", name, maxName))
	case !validName(k.Queue):
		panic(fmt.Sprintf("tasks: kind %q: bad queue name %q", name, k.Queue))
	case version < 1:
		panic(fmt.Sprintf("tasks: kind %q: version %d: the first is 1", name, version))
	}
	return k
}

// call decodes the payload, calls fn and encodes its result.
func call[In, Out any](ctx context.Context, fn func(context.Context, In) (Out, error), payload jsontext.Value) (jsontext.Value, error) {
	var in In
	if raw, ok := any(&in).(*jsontext.Value); ok {
		*raw = payload.Clone()
	} else if len(payload) > 0 {
		// Not strict: it was when the task was submitted, and a program that no longer knows a member still does the work.
		if err := json.Unmarshal(payload, &in); err != nil {
			return nil, &unfitError{err}
		}
	}
	out, err := fn(ctx, in)
	if err != nil {
		return nil, err
	}
	return encode(&out)
}

// encode is v as JSON; nothing for a struct{}.
func encode[T any](v *T) (jsontext.Value, error) {
	switch v := any(v).(type) {
	case *struct{}:
		return nil, nil
	case *jsontext.Value:
		if *v == nil {
			return nil, nil
		}
		if !v.IsValid() {
			return nil, fmt.Errorf("%w: not JSON", ErrInvalid)
		}
		return v.Clone(), nil
	}
	return json.Marshal(v)
}

// register adds k and lets the queues look for its tasks.
func (m *Manager) register(k *kind) {
	m.mu.Lock()
	kinds := maps.Clone(*m.kinds.Load())
	if kinds[k.Name] != nil {
		m.mu.Unlock()
		panic(fmt.Sprintf("tasks: kind %q is registered already", k.Name))
	}
	kinds[k.Name] = k
	m.kinds.Store(&kinds)
	versions := make(map[string]int, len(kinds))
	for name, k := range kinds {
		versions[name] = k.Version
	}
	m.versions.Store(&versions)
	m.addQueueLocked(k.Queue, QueueOptions{})
	m.mu.Unlock()
	m.wakeAll()
}

// Kinds describes the registered kinds, sorted by name.
func (m *Manager) Kinds() []KindInfo {
	var all []KindInfo
	for _, k := range *m.kinds.Load() {
		all = append(all, k.KindInfo)
	}
	slices.SortFunc(all, func(a, b KindInfo) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Name is the kind's name.
func (k *Kind[In, Out]) Name() string { return k.kind.Name }

// Submit adds a task with in as its payload. Nil options are the defaults. For the errors see Manager.Submit.
func (k *Kind[In, Out]) Submit(ctx context.Context, in In, opts *SubmitOptions) (*Task, error) {
	payload, err := encodeInput(&in)
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
func Submit[In any](ctx context.Context, m *Manager, kind string, in In, opts *SubmitOptions) (*Task, error) {
	payload, err := encodeInput(&in)
	if err != nil {
		return nil, err
	}
	return m.Submit(ctx, kind, payload, opts)
}

// Result waits until a task is done and returns its result as an Out, for those that have not its kind's handle. For the errors see Manager.Result.
func Result[Out any](ctx context.Context, m *Manager, id string) (out Out, err error) {
	raw, err := m.Result(ctx, id)
	if err != nil || len(raw) == 0 {
		return out, err
	}
	if v, ok := any(&out).(*jsontext.Value); ok {
		*v = raw
		return out, nil
	}
	if err := json.Unmarshal(raw, &out); err != nil {
		return out, fmt.Errorf("tasks: the result of task %s: %w", id, err)
	}
	return out, nil
}
