package tasks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/canonical"
)

// SubmitOptions are the options of one task. The zero value of every field means its default.
type SubmitOptions struct {
	// ID names the task and makes submitting it idempotent: 1 to 128 bytes of A-Z, a-z, 0-9 and
	// _.:@-; default a random one.
	ID string
	// Metadata is kept with the task: at most 32 entries and 4 KiB together, in UTF-8. List and
	// Events filter by it.
	Metadata map[string]string
	// Queue is where it waits; default the kind's.
	Queue string
	// Priority orders the queue: higher first; default 0.
	Priority int
	// Key groups tasks for QueueOptions.KeyLimit, such as a tenant's: at most 256 bytes of UTF-8;
	// default no group.
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
	// Authorize is asked before another task stands for this one or goes for it: OpGet before
	// Submit returns one that has the ID or holds the unique key, OpCancel before it cancels the
	// holder. Its error is Submit's, and nothing happens. It is for doors through which several
	// submit who must not see each other's tasks. Default: the program may do both.
	Authorize func(op Operation, t *Task) error

	occurrence bool // of a schedule, which is never unique
}

// Submit adds a task, with a payload in JSON as it may come from a client, and returns it as
// stored. Nil options are the defaults. An ID that is taken by a task of the same kind and payload
// gives that task; by another one it is ErrConflict.
//
// The errors: ErrNotFound for a kind or a queue that is not known here, an *InputError (ErrInvalid)
// for a payload that does not fit the kind, ErrInvalid for bad options, ErrTooLarge, ErrConflict
// (an *ExistsError), ErrOverloaded, ErrStoreFull, ErrNotRunning after Stop, and the store's own.
func (m *Manager) Submit(ctx context.Context, kind string, payload jsontext.Value,
	opts *SubmitOptions,
) (*Task, error) {
	k := m.kinds.get(kind)
	payload, err := m.receive(ctx, kind, k, payload)
	if err != nil {
		return nil, err
	}
	return m.submit(ctx, kind, k, payload, opts)
}

// receive checks what is submitted for a kind, k, which is nil where it is not known here, and
// returns the payload to keep.
func (m *Manager) receive(ctx context.Context, kind string, k *kind,
	payload jsontext.Value,
) (jsontext.Value, error) {
	switch {
	case k == nil && !m.opts.AnyKind:
		return nil, unknownKind(kind)
	case k == nil && !validName(kind):
		return nil, invalid("bad name of a kind")
	case len(payload) > m.opts.MaxPayload:
		return nil, tooLarge("payload", len(payload), m.opts.MaxPayload)
	case k == nil && len(payload) > 0 && !payload.IsValid():
		return nil, &InputError{Message: "not valid JSON"}
	case k != nil:
		return k.receive(ctx, m, payload)
	}
	return payload.Clone(), nil
}

// submit adds a task whose payload is checked and nobody else's. k is nil for a kind that is not
// known here.
func (m *Manager) submit(ctx context.Context, name string, k *kind, payload jsontext.Value,
	opts *SubmitOptions,
) (*Task, error) {
	if len(m.opts.SubmitMiddleware) > 0 {
		return m.submitOne(ctx, k, Submission{Kind: name, Payload: payload, Options: opts})
	}
	return m.submitNow(ctx, name, k, payload, opts)
}

// submitNow is submit inside of the middleware.
func (m *Manager) submitNow(ctx context.Context, name string, k *kind, payload jsontext.Value,
	opts *SubmitOptions,
) (*Task, error) {
	if m.stopping.Load() {
		return nil, fmt.Errorf("%w: a task of kind %q for a manager that is stopped", ErrNotRunning,
			name)
	}
	now := m.now()
	d, err := m.draft(name, k, payload, opts, now)
	switch {
	case err != nil:
		return nil, err
	case d.t.Unique == nil:
		return m.add(ctx, d, now)
	}
	return m.addUnique(ctx, d, now)
}

// newTask is the task of a kind, with what the options say. They have been checked then.
func newTask(name string, k *kind, payload jsontext.Value, opts *SubmitOptions,
	now time.Time,
) (t *Task, unique *UniqueOptions, err error) {
	t = &Task{
		Kind: name, Version: 1, Queue: defaultQueue, Payload: payload, State: Queued,
		Created: now, RunAt: now,
	}
	if k != nil {
		t.Version, t.Queue, t.Timeout, t.Retry, unique = k.Version, k.Queue, k.opts.Timeout,
			k.opts.Retry, k.opts.Unique
	}
	if opts != nil {
		if err := opts.applyTo(t, now); err != nil {
			return nil, nil, err
		}
		if opts.Unique != nil || opts.occurrence {
			unique = opts.Unique
		}
	}
	return t, unique, t.Retry.check()
}

// add adds the task, or finds it there already.
func (m *Manager) add(ctx context.Context, d draft, now time.Time) (*Task, error) {
	added, err := m.store.Add(ctx, d.t, now, max(d.q.opts.MaxWaiting, 0))
	if err == nil {
		return added, nil
	}
	if other, ok := errors.AsType[*ExistsError](err); ok && other.ID && d.isAnsweredBy(other) {
		if err := d.allow(OpGet, other.Task); err != nil {
			return nil, err
		}
		return other.Task, nil
	}
	return nil, d.explain(err)
}

// applyTo sets what o says in t.
func (o *SubmitOptions) applyTo(t *Task, now time.Time) error {
	size, texts := 0, utf8.ValidString(o.Key)
	for k, v := range o.Metadata {
		size += len(k) + len(v)
		texts = texts && utf8.ValidString(k) && utf8.ValidString(v)
	}
	switch {
	case !texts: // no store in JSON could hold it, and no worker process be told of it
		return invalid("a key and metadata are UTF-8")
	case o.ID != "" && !validName(o.ID):
		return invalid("an ID is 1 to %d bytes of A-Z, a-z, 0-9 and _.:@-", maxName)
	case o.Queue != "" && !validName(o.Queue):
		return invalid("a queue's name is 1 to %d bytes of A-Z, a-z, 0-9 and _.:@-", maxName)
	case len(o.Key) > maxKey:
		return invalid("a key is at most %d bytes", maxKey)
	case len(o.Metadata) > maxMetadata || size > maxMetadataBytes:
		return fmt.Errorf("%w: metadata is at most %d entries and %d bytes", ErrTooLarge,
			maxMetadata, maxMetadataBytes)
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
		at, t.Delay = now.Add(o.Delay), o.Delay
	}
	if at.After(now) {
		t.State, t.RunAt = Scheduled, at
	}
	return nil
}

// clip cuts s to at most n bytes.
func clip(s string, n int) string { return s[:min(len(s), n)] }

// UniqueOptions make a task unique. The zero value: no second task of this kind and payload until
// this one is done.
type UniqueOptions struct {
	// Key is the key, of at most 256 bytes of UTF-8 and one for all of the store; default one made
	// of the kind and the payload, whose order of members and way of writing numbers do not matter,
	// but every digit does.
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
	// UniqueReplace cancels the holder, running or not, and takes its key. These are two steps:
	// another task may come between them, and is replaced too.
	UniqueReplace UniqueTaken = "replace"
)

// replacements is how many tasks one may replace before it gives up against others that do the
// same.
const replacements = 16

func (m *Manager) addUnique(ctx context.Context, d draft, now time.Time) (*Task, error) {
	for range replacements {
		added, err := m.add(ctx, d, now)
		other, ok := errors.AsType[*ExistsError](err)
		switch {
		case err == nil || !ok || other.ID:
			return added, err
		case d.taken == UniqueExisting:
			if err := d.allow(OpGet, other.Task); err != nil {
				return nil, err
			}
			return other.Task, nil
		case d.taken != UniqueReplace:
			return nil, err
		}
		if err := d.allow(OpCancel, other.Task); err != nil {
			return nil, err
		}
		replaced := false
		was, err := m.store.Update(ctx, other.Task.ID, now, func(holder *Task) error {
			replaced = false
			if holder.Unique == nil || holder.Unique.Key != d.t.Unique.Key {
				return nil
			}
			holder.Unique = nil
			if replaced = !holder.State.Done(); replaced {
				holder.cancel(now)
			}
			return nil
		})
		switch {
		case err == nil && replaced:
			m.outcomes.report(was)
		case err != nil && !errors.Is(err, ErrNotFound):
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: %d tasks took the unique key meanwhile", ErrConflict, replacements)
}

// applyTo makes t unique.
func (o *UniqueOptions) applyTo(t *Task, now time.Time) error {
	u := &Unique{Key: o.Key, While: o.While}
	if u.Key == "" {
		sum := sha256.New()
		sum.Write(canonical.JSON(t.Payload))
		u.Key = t.Kind + ":" + hex.EncodeToString(sum.Sum(nil)[:16])
	}
	if u.While == "" {
		u.While = UniqueUndone
	}
	switch {
	case len(u.Key) > maxKey || !utf8.ValidString(u.Key):
		return invalid("a unique key is at most %d bytes of UTF-8", maxKey)
	case u.While != UniqueWaiting && u.While != UniqueUndone && u.While != UniqueFor:
		return invalid("no such scope of a unique key: %q", clip(string(u.While), 32))
	case (u.While == UniqueFor) != (o.For > 0):
		return invalid("a time goes with a key held for a time")
	case o.Taken != "" && o.Taken != UniqueReject && o.Taken != UniqueExisting &&
		o.Taken != UniqueReplace:
		return invalid("no such policy for a unique key: %q", clip(string(o.Taken), 32))
	}
	if u.While == UniqueFor {
		u.Until = now.Add(o.For)
	}
	t.Unique = u
	return nil
}
