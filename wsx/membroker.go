package wsx

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// MemoryBroker is the Broker of one process: any number of hubs may share one. It forgets everything with the process; a channel's
// history that has grown old is forgotten whole, and its numbering with it. A channel that nobody has published to or is in takes no memory.
type MemoryBroker struct {
	seed maphash.Seed

	mu        sync.RWMutex
	hubs      map[Receiver]*interest
	channels  map[string]*memChannel
	forgotten [256]uint64 // numberings, by hashes of their names
}

var errNotAttached = errors.New("wsx: the hub is not attached to this broker")

// interest is what one hub wants.
type interest struct {
	names    map[string]struct{}
	patterns tree[struct{}]
	calls    sync.WaitGroup // of the hub, under way
}

// memChannel is a channel with history or presence. Its lock orders what is delivered of it.
type memChannel struct {
	mu      sync.Mutex
	epoch   string
	newest  uint64
	events  []memEvent // the newest last
	age     time.Duration
	touched time.Time
	members map[presentBy]struct{}
	gone    bool // taken out of the map: look it up again
}

// presentBy is a member, and the hub that it joined through.
type presentBy struct {
	hub Receiver
	Member
}

type memEvent struct {
	Event
	at time.Time
}

var (
	_ Broker         = (*MemoryBroker)(nil)
	_ PresenceBroker = (*MemoryBroker)(nil)
)

// NewMemoryBroker returns a broker without hubs.
func NewMemoryBroker() *MemoryBroker {
	return &MemoryBroker{seed: maphash.MakeSeed(), hubs: make(map[Receiver]*interest), channels: make(map[string]*memChannel)}
}

// Attach implements Broker.
func (b *MemoryBroker) Attach(r Receiver) (detach func() error, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hubs[r] != nil {
		return nil, errors.New("wsx: the hub is attached to this broker already")
	}
	b.hubs[r] = &interest{names: make(map[string]struct{})}
	return func() error { b.detach(r); return nil }, nil
}

func (b *MemoryBroker) detach(r Receiver) {
	b.mu.Lock()
	in := b.hubs[r]
	delete(b.hubs, r)
	channels := maps.Clone(b.channels)
	b.mu.Unlock()
	if in != nil {
		in.calls.Wait()
	}
	for name, c := range channels {
		c.mu.Lock()
		for by := range c.members {
			if by.hub == r {
				b.leaveLocked(name, c, by)
			}
		}
		c.mu.Unlock()
		b.left(name)
	}
}

// Interest implements Broker.
func (b *MemoryBroker) Interest(_ context.Context, r Receiver, name string, on bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := b.hubs[r]
	switch {
	case in == nil:
		return errNotAttached
	case on && isPattern(name):
		in.patterns.put(name, struct{}{})
	case on:
		in.names[name] = struct{}{}
	case isPattern(name):
		in.patterns.remove(name)
	default:
		delete(in.names, name)
		b.tidyLocked(name, time.Now())
	}
	return nil
}

func (in *interest) wants(channel string) bool {
	if _, ok := in.names[channel]; ok {
		return true
	}
	found := false
	in.patterns.match(channel, func(struct{}) { found = true })
	return found
}

// receivers calls each hub that wants the channel. No lock of the broker is held meanwhile: a hub may make the publishers of a busy channel
// wait, and those of others are not to wait for that.
func (b *MemoryBroker) receivers(channel string, call func(Receiver)) {
	type wanting struct {
		r  Receiver
		in *interest
	}
	var some [4]wanting
	wants := some[:0]
	b.mu.RLock()
	for r, in := range b.hubs {
		if in.wants(channel) {
			in.calls.Add(1) // here, where it is attached: detach waits
			wants = append(wants, wanting{r, in})
		}
	}
	b.mu.RUnlock()
	for _, w := range wants {
		call(w.r)
		w.in.calls.Done()
	}
}

// Publish implements Broker.
func (b *MemoryBroker) Publish(_ context.Context, channel string, payload jsontext.Value, h History) (Position, error) {
	e := Event{Channel: channel, Payload: payload}
	if h.Size <= 0 {
		b.receivers(channel, func(r Receiver) { r.Event(e) })
		return Position{}, nil
	}
	c := b.lock(channel)
	defer c.mu.Unlock()
	c.newest++
	e.Position = Position{Epoch: c.epoch, Offset: c.newest}
	now := time.Now()
	c.touched, c.age = now, h.Age
	c.events = append(c.events, memEvent{e, now})
	c.trim(h, now)
	b.receivers(channel, func(r Receiver) { r.Event(e) })
	return e.Position, nil
}

// trim drops what is over the history's size or age.
func (c *memChannel) trim(h History, now time.Time) {
	drop := max(0, len(c.events)-h.Size)
	for h.Age > 0 && drop < len(c.events) && now.Sub(c.events[drop].at) > h.Age {
		drop++
	}
	if drop == 0 {
		return
	}
	clear(c.events[:drop])
	c.events = c.events[drop:] // the room before it goes when append next needs more
}

// lock returns the channel, made if need be, with its lock held.
func (b *MemoryBroker) lock(name string) *memChannel {
	for {
		b.mu.RLock()
		c := b.channels[name]
		b.mu.RUnlock()
		if c == nil {
			c = b.make(name)
		}
		c.mu.Lock()
		if !c.gone {
			return c
		}
		c.mu.Unlock()
	}
}

func (b *MemoryBroker) make(name string) *memChannel {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.channels[name]; c != nil {
		return c
	}
	b.sweepLocked()
	c := &memChannel{epoch: b.epochLocked(name), touched: time.Now()}
	b.channels[name] = c
	return c
}

// epochLocked is the epoch of a channel that is not there. It is another than all that numberings of the channel have had, and stays the same
// until one is forgotten, of this channel or one of a few others: so channels that have none need not be kept.
func (b *MemoryBroker) epochLocked(name string) string {
	hash := maphash.String(b.seed, name)
	text := base32.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, hash))
	return text[:10] + "-" + strconv.FormatUint(1+b.forgotten[hash%uint64(len(b.forgotten))], 36)
}

// sweepLocked looks at a few channels: every new one pays for two old ones.
func (b *MemoryBroker) sweepLocked() {
	looked := 0
	for name := range b.channels {
		if looked++; looked > 2 {
			return
		}
		b.tidyLocked(name, time.Time{})
	}
}

// tidyLocked forgets a channel that is out of date, or without a numbering, when nobody is in it or subscribes to its name. Who listens by a pattern
// has no position in it. Somebody has left it at that time, if it is not zero, and may come back while the history lasts.
func (b *MemoryBroker) tidyLocked(name string, left time.Time) {
	c := b.channels[name]
	if c == nil || !c.mu.TryLock() { // in use: a sweep comes by again
		return
	}
	defer c.mu.Unlock()
	if left.After(c.touched) {
		c.touched = left
	}
	old := c.newest == 0 || c.age > 0 && time.Since(c.touched) > c.age
	if !old || len(c.members) > 0 {
		return
	}
	for _, in := range b.hubs {
		if _, ok := in.names[name]; ok {
			return
		}
	}
	if c.newest > 0 {
		b.forgotten[maphash.String(b.seed, name)%uint64(len(b.forgotten))]++
	}
	c.gone = true
	delete(b.channels, name)
}

// Since implements Broker.
func (b *MemoryBroker) Since(_ context.Context, channel string, since Position, h History) (Replay, error) {
	c := b.lock(channel)
	defer c.mu.Unlock()
	c.trim(h, time.Now())
	r := Replay{Newest: Position{Epoch: c.epoch, Offset: c.newest}, Complete: true}
	if since == (Position{}) {
		return r, nil
	}
	first := c.newest - uint64(len(c.events)) // the offset before the oldest that is kept
	if since.Epoch != c.epoch || since.Offset > c.newest || since.Offset < first {
		r.Complete = false
		return r, nil
	}
	for _, e := range c.events[since.Offset-first:] {
		r.Events = append(r.Events, e.Event)
	}
	return r, nil
}

// Join implements PresenceBroker.
func (b *MemoryBroker) Join(_ context.Context, r Receiver, channel string, m Member) error {
	c := b.lock(channel)
	defer c.mu.Unlock()
	b.mu.RLock()
	attached := b.hubs[r] != nil
	b.mu.RUnlock()
	if !attached {
		return errNotAttached
	}
	if c.members == nil {
		c.members = make(map[presentBy]struct{})
	}
	c.members[presentBy{r, m}] = struct{}{}
	b.receivers(channel, func(r Receiver) { r.Presence(Presence{Channel: channel, Member: m}) })
	return nil
}

// Leave implements PresenceBroker.
func (b *MemoryBroker) Leave(_ context.Context, r Receiver, channel string, m Member) error {
	c := b.lock(channel)
	b.leaveLocked(channel, c, presentBy{r, m})
	c.mu.Unlock()
	b.left(channel)
	return nil
}

// left is what follows when somebody has left a channel.
func (b *MemoryBroker) left(channel string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tidyLocked(channel, time.Now())
}

func (b *MemoryBroker) leaveLocked(channel string, c *memChannel, by presentBy) {
	if _, ok := c.members[by]; !ok {
		return
	}
	if delete(c.members, by); len(c.members) == 0 {
		c.members = nil
	}
	c.touched = time.Now()
	b.receivers(channel, func(r Receiver) { r.Presence(Presence{Channel: channel, Member: by.Member, Left: true}) })
}

// Members implements PresenceBroker.
func (b *MemoryBroker) Members(_ context.Context, channel string) ([]Member, error) {
	c := b.lock(channel)
	defer c.mu.Unlock()
	members := make([]Member, 0, len(c.members))
	for by := range c.members {
		members = append(members, by.Member)
	}
	return members, nil
}
