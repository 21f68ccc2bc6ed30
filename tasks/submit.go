package tasks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// SubmitOptions are the options of one task. The zero value of every field means its default.
type SubmitOptions struct {
	// ID names the task and makes submitting it idempotent: 1 to 128 bytes of A-Z, a-z, 0-9 and _.:@-; default a random one.
	ID string
	// Metadata is kept with the task: at most 32 entries and 4 KiB together. List and Events filter by it.
	Metadata map[string]string
	// Queue is where it waits; default the kind's.
	Queue string
	// Priority orders the queue: higher first; default 0.
	Priority int
	// Key groups tasks for QueueOptions.KeyLimit, such as a tenant's: at most 256 bytes; default no group.
	Key string
	// Delay is how long it waits at least; default not at all.
	Delay time.Duration
	// RunAt is before when it does not run; default as Delay says. Only one of them may be given.
	RunAt time.Time
	// Timeout bounds one attempt; default the kind's, below 0 none.
	Timeout time.Duration
	// Retry says how often it is tried; default the kind's.
	Retry *RetryPolicy
	// Unique makes it hold a key; default the kind's.
	Unique *UniqueOptions

	occurrence bool // of a schedule, which is never unique
}

// UniqueOptions make a task unique. The zero value: no second task of this kind and payload until this one is done.
type UniqueOptions struct {
	// Key is the key, of at most 256 bytes and one for all of the store; default one made of the kind and the payload.
	Key string
	// While is how long the key is held; default UniqueUndone.
	While UniqueWhile
	// For is how long it is held, for UniqueFor.
	For time.Duration
	// Taken says what becomes of a task whose key another holds; default UniqueReject.
	Taken UniqueTaken
}

// UniqueTaken says what becomes of a task whose unique key is held.
type UniqueTaken string

// What may become of it.
const (
	// UniqueReject refuses it: ErrConflict, an *ExistsError that has the holder.
	UniqueReject UniqueTaken = "reject"
	// UniqueExisting gives the holder in its place.
	UniqueExisting UniqueTaken = "existing"
	// UniqueReplace cancels the holder, running or not, and takes its key. These are two steps: another task may come between them, and is replaced too.
	UniqueReplace UniqueTaken = "replace"
)

// Submit adds a task, with a payload in JSON as it may come from a client, and returns it as stored. Nil options are the defaults. An ID that is taken by a task of the same kind
// and payload gives that task; by another one it is ErrConflict.
//
// The errors: ErrNotFound for a kind or a queue that is not known here, an *InputError (ErrInvalid) for a payload that does not fit the kind, ErrInvalid for bad
// options, ErrTooLarge, ErrConflict (an *ExistsError), ErrOverloaded, ErrStoreFull, ErrNotRunning after Stop, and the store's own.
func (m *Manager) Submit(ctx context.Context, kind string, payload jsontext.Value, opts *SubmitOptions) (*Task, error) {
	k := (*m.kinds.Load())[kind]
	switch {
	case k == nil && !m.opts.AnyKind:
		return nil, fmt.Errorf("%w: kind %q", ErrNotFound, clip(kind, maxName))
	case k == nil && !validName(kind):
		return nil, invalid("bad name of a kind")
	case len(payload) > m.opts.MaxPayload:
		return nil, m.tooLarge("payload", len(payload), m.opts.MaxPayload)
	case k == nil && len(payload) > 0 && !payload.IsValid():
		return nil, &InputError{Message: "not valid JSON"}
	}
	if k != nil {
		if err := k.check(payload); err != nil {
			return nil, err
		}
	}
	return m.submit(ctx, kind, k, payload.Clone(), opts)
}

func (m *Manager) tooLarge(what string, size, limit int) error {
	return fmt.Errorf("%w: %s of %d bytes, limit %d", ErrTooLarge, what, size, limit)
}

// submit adds a task whose payload is checked and nobody else's. k is nil for a kind that is not known here.
func (m *Manager) submit(ctx context.Context, name string, k *kind, payload jsontext.Value, opts *SubmitOptions) (*Task, error) {
	if m.stopped.Load() {
		return nil, ErrNotRunning
	}
	if len(payload) > m.opts.MaxPayload {
		return nil, m.tooLarge("payload", len(payload), m.opts.MaxPayload)
	}
	now := m.now()
	t, unique, err := newTask(name, k, payload, opts, now)
	if err != nil {
		return nil, err
	}
	if t.ID == "" {
		t.ID = m.ids.next()
	}
	q := m.queue(t.Queue)
	if q == nil {
		return nil, fmt.Errorf("%w: queue %q", ErrNotFound, t.Queue)
	}
	if unique == nil {
		return m.add(ctx, t, now, q)
	}
	if err := unique.apply(t, now); err != nil {
		return nil, err
	}
	return m.addUnique(ctx, t, now, q, unique.Taken)
}

// newTask is the task of a kind, with what the options say. They have been checked then.
func newTask(name string, k *kind, payload jsontext.Value, opts *SubmitOptions, now time.Time) (t *Task, unique *UniqueOptions, err error) {
	t = &Task{Kind: name, Version: 1, Queue: defaultQueue, Payload: payload, State: Queued, Created: now, RunAt: now}
	if k != nil {
		t.Version, t.Queue, t.Timeout, t.Retry, unique = k.Version, k.Queue, k.opts.Timeout, k.opts.Retry, k.opts.Unique
	}
	if opts != nil {
		if err := opts.apply(t, now); err != nil {
			return nil, nil, err
		}
		if opts.Unique != nil || opts.occurrence {
			unique = opts.Unique
		}
	}
	return t, unique, t.Retry.check()
}

// add adds t, or finds it there already.
func (m *Manager) add(ctx context.Context, t *Task, now time.Time, q *queue) (*Task, error) {
	added, err := m.store.Add(ctx, t, now, max(q.opts.MaxWaiting, 0))
	if err == nil {
		return added, nil
	}
	if other, ok := errors.AsType[*ExistsError](err); ok && other.ID && other.Task.Kind == t.Kind && sameJSON(other.Task.Payload, t.Payload) {
		return other.Task, nil
	}
	return nil, err
}

// replacements is how many tasks one may replace before it gives up against others that do the same.
const replacements = 16

func (m *Manager) addUnique(ctx context.Context, t *Task, now time.Time, q *queue, taken UniqueTaken) (*Task, error) {
	for range replacements {
		added, err := m.add(ctx, t, now, q)
		other, ok := errors.AsType[*ExistsError](err)
		switch {
		case err == nil || !ok || other.ID:
			return added, err
		case taken == UniqueExisting:
			return other.Task, nil
		case taken != UniqueReplace:
			return nil, err
		}
		_, err = m.store.Update(ctx, other.Task.ID, now, func(holder *Task) error {
			if holder.Unique == nil || holder.Unique.Key != t.Unique.Key {
				return nil
			}
			holder.Unique = nil
			if !holder.State.Done() {
				holder.cancel(now)
			}
			return nil
		})
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: %d tasks took the unique key meanwhile", ErrConflict, replacements)
}

// apply sets what o says in t.
func (o *SubmitOptions) apply(t *Task, now time.Time) error {
	size := 0
	for k, v := range o.Metadata {
		size += len(k) + len(v)
	}
	switch {
	case o.ID != "" && !validName(o.ID):
		return invalid("an ID is 1 to %d bytes of A-Z, a-z, 0-9 and _.:@-", maxName)
	case o.Queue != "" && !validName(o.Queue):
		return invalid("a queue's name is 1 to %d bytes of A-Z, a-z, 0-9 and _.:@-", maxName)
	case len(o.Key) > maxKey:
		return invalid("a key is at most %d bytes", maxKey)
	case len(o.Metadata) > maxMetadata || size > maxMetadataBytes:
		return fmt.Errorf("%w: metadata is at most %d entries and %d bytes", ErrTooLarge, maxMetadata, maxMetadataBytes)
	case o.Delay < 0:
		return invalid("the delay is below 0")
	case o.Delay > 0 && !o.RunAt.IsZero():
		return invalid("either a delay or a time")
	case o.RunAt.UTC().Year() > 9999:
		return invalid("a time that RFC 3339 cannot write")
	}
	t.ID, t.Priority, t.Key = o.ID, o.Priority, o.Key
	if len(o.Metadata) > 0 {
		t.Metadata = maps.Clone(o.Metadata)
	}
	if o.Queue != "" {
		t.Queue = o.Queue
	}
	if o.Timeout != 0 {
		t.Timeout = max(o.Timeout, 0)
	}
	if o.Retry != nil {
		t.Retry = *o.Retry
	}
	at := o.RunAt.UTC().Round(0)
	if o.Delay > 0 {
		at = now.Add(o.Delay)
	}
	if at.After(now) {
		t.State, t.RunAt = Scheduled, at
	}
	return nil
}

// apply makes t unique.
func (o *UniqueOptions) apply(t *Task, now time.Time) error {
	u := &Unique{Key: o.Key, While: o.While}
	if u.Key == "" {
		sum := sha256.New()
		sum.Write(canonical(t.Payload))
		u.Key = t.Kind + ":" + hex.EncodeToString(sum.Sum(nil)[:16])
	}
	if u.While == "" {
		u.While = UniqueUndone
	}
	switch {
	case len(u.Key) > maxKey:
		return invalid("a unique key is at most %d bytes", maxKey)
	case u.While != UniqueWaiting && u.While != UniqueUndone && u.While != UniqueFor:
		return invalid("no such scope of a unique key: %q", clip(string(u.While), 32))
	case (u.While == UniqueFor) != (o.For > 0):
		return invalid("a time goes with a key held for a time")
	case o.Taken != "" && o.Taken != UniqueReject && o.Taken != UniqueExisting && o.Taken != UniqueReplace:
		return invalid("no such policy for a unique key: %q", clip(string(o.Taken), 32))
	}
	if u.While == UniqueFor {
		u.Until = now.Add(o.For)
	}
	t.Unique = u
	return nil
}

// sameJSON reports whether two values are the same, however they are written.
func sameJSON(a, b jsontext.Value) bool {
	return bytes.Equal(a, b) || bytes.Equal(canonical(a), canonical(b))
}

// canonical is v as RFC 8785 writes it; null when there is none.
func canonical(v jsontext.Value) jsontext.Value {
	if len(v) == 0 {
		return jsontext.Value("null")
	}
	v = v.Clone()
	_ = v.Canonicalize() // it was checked to be JSON; otherwise it stays as it is
	return v
}

// clip cuts s to at most n bytes.
func clip(s string, n int) string { return s[:min(len(s), n)] }
