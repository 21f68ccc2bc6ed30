package broker

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

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx/internal/pattern"
)

// Memory is the Broker of one process: any number of hubs may share one. It forgets everything with
// the process. A channel's history that has grown old is forgotten whole, and its numbering with
// it. A channel that nobody has published to or is in takes no memory, whoever asks about it.
type Memory struct {
	seed maphash.Seed

	// mu guards what follows. It is not held over a hub; of a channel's locks those are taken with
	// it that are free.
	mu       lockorder.RWMutex
	hubs     map[Receiver]*interest
	channels map[string]*memChannel
	// forgotten counts the numberings that were forgotten, by hashes of their channels' names:
	// epochLocked makes epochs of it.
	forgotten [256]uint64
}

var errNotAttached = errors.New("broker: the hub is not attached to this broker")

// interest is what one hub wants.
type interest struct {
	names    map[string]struct{}
	patterns pattern.Index[struct{}]
	calls    sync.WaitGroup // of the hub, under way
}

// memChannel is a channel with history or presence.
type memChannel struct {
	// deliver orders what is delivered of the channel. It is held over a hub that makes the
	// publishers of the channel wait, and is waited for by these alone.
	deliver lockorder.Mutex

	// mu guards what follows. It is taken behind deliver, and not held over a hub.
	mu       lockorder.Mutex
	epoch    string
	newest   uint64     // the offset of the newest event; 0 when there was none
	events   []memEvent // those that are kept, the newest last
	age      time.Duration
	lastUsed time.Time            // published to or left
	members  map[presentBy]uint64 // the Seq of their joining
	changes  uint64               // the Seq of the newest change of presence
	removed  bool                 // from Memory.channels: look the channel up again
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
	_ Broker         = (*Memory)(nil)
	_ PresenceBroker = (*Memory)(nil)
)

// NewMemory returns a broker without hubs.
func NewMemory() *Memory {
	return &Memory{
		seed: maphash.MakeSeed(), hubs: make(map[Receiver]*interest),
		channels: make(map[string]*memChannel),
	}
}

// Attach implements Broker.
func (b *Memory) Attach(r Receiver) (detach func() error, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.hubs[r] != nil {
		return nil, errors.New("broker: the hub is attached to this broker already")
	}
	b.hubs[r] = &interest{names: make(map[string]struct{})}
	return func() error { b.detach(r); return nil }, nil
}

func (b *Memory) detach(r Receiver) {
	b.mu.Lock()
	in := b.hubs[r]
	delete(b.hubs, r)
	channels := maps.Clone(b.channels)
	b.mu.Unlock()
	if in != nil {
		in.calls.Wait()
	}
	for name, c := range channels {
		for _, by := range c.joinedThrough(r) {
			b.leave(name, by)
		}
		b.tidy(name)
	}
}

// joinedThrough returns those who are in the channel through a hub.
func (c *memChannel) joinedThrough(r Receiver) (all []presentBy) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for by := range c.members {
		if by.hub == r {
			all = append(all, by)
		}
	}
	return all
}

// Interest implements Broker.
func (b *Memory) Interest(_ context.Context, r Receiver, name string, on bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := b.hubs[r]
	switch {
	case in == nil:
		return errNotAttached
	case on && pattern.HasWildcard(name):
		in.patterns.Put(name, struct{}{})
	case on:
		in.names[name] = struct{}{}
	case pattern.HasWildcard(name):
		in.patterns.Remove(name)
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
	return len(in.patterns.Match(channel)) > 0
}

// receivers calls each hub that wants the channel. No lock of the broker is held meanwhile: a hub
// may make the publishers of a busy channel wait, and those of others are not to wait for that.
func (b *Memory) receivers(channel string, call func(Receiver)) {
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
func (b *Memory) Publish(_ context.Context, e Event, h History) (Position, error) {
	if h.Size <= 0 {
		e.Position = Position{}
		b.receivers(e.Channel, func(r Receiver) { r.Event(e) })
		return Position{}, nil
	}
	c := b.lockOrdered(e.Channel)
	defer c.deliver.Unlock()
	c.newest++
	e.Position = Position{Epoch: c.epoch, Offset: c.newest}
	now := time.Now()
	c.lastUsed, c.age = now, h.Age
	c.events = append(c.events, memEvent{e, now})
	c.trim(h, now)
	c.mu.Unlock()
	b.receivers(e.Channel, func(r Receiver) { r.Event(e) })
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
func (b *Memory) lock(name string) *memChannel {
	for {
		c := b.channel(name)
		c.mu.Lock()
		if !c.removed {
			return c
		}
		c.mu.Unlock()
	}
}

// lockOrdered is lock for whoever has something to deliver: the next to do so waits until deliver
// is unlocked.
func (b *Memory) lockOrdered(name string) *memChannel {
	for {
		c := b.channel(name)
		c.deliver.Lock()
		c.mu.Lock()
		if !c.removed {
			return c
		}
		c.mu.Unlock()
		c.deliver.Unlock()
	}
}

func (b *Memory) channel(name string) *memChannel {
	b.mu.RLock()
	c := b.channels[name]
	b.mu.RUnlock()
	if c == nil {
		c = b.create(name)
	}
	return c
}

func (b *Memory) create(name string) *memChannel {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.channels[name]; c != nil {
		return c
	}
	b.sweepLocked()
	c := &memChannel{epoch: b.epochLocked(name), lastUsed: time.Now()}
	b.channels[name] = c
	return c
}

// epochLocked returns the epoch of a channel that is not kept: another than all that numberings of
// the channel have had. It is made of a hash of the name and of how many numberings with such a
// hash were forgotten, and not at random, so that it is the same whenever it is asked for: a client
// may subscribe to any number of channels that nobody publishes to, and come back to where it was,
// at no cost of memory. When a numbering is forgotten a few other channels without events change
// their epoch too, and their clients read the state again.
func (b *Memory) epochLocked(name string) string {
	hash := maphash.String(b.seed, name)
	text := base32.StdEncoding.EncodeToString(binary.BigEndian.AppendUint64(nil, hash))
	return text[:10] + "-" + strconv.FormatUint(1+b.forgotten[hash%uint64(len(b.forgotten))], 36)
}

// sweepLocked looks at a few channels: every new one pays for two old ones.
func (b *Memory) sweepLocked() {
	looked := 0
	for name := range b.channels {
		if looked++; looked > 2 {
			return
		}
		b.tidyLocked(name, time.Time{})
	}
}

// tidyLocked forgets a channel that is out of date, or without a numbering, when nobody is in it or
// subscribes to its name. Who listens by a pattern has no position in it. Somebody has left it at
// that time, if it is not zero, and may come back while the history lasts.
func (b *Memory) tidyLocked(name string, left time.Time) {
	c := b.channels[name]
	if c == nil || !c.deliver.TryLock() { // in use: a sweep comes by again
		return
	}
	defer c.deliver.Unlock()
	if !c.mu.TryLock() {
		return
	}
	defer c.mu.Unlock()
	if left.After(c.lastUsed) {
		c.lastUsed = left
	}
	old := c.newest == 0 || c.age > 0 && time.Since(c.lastUsed) > c.age
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
	c.removed = true
	delete(b.channels, name)
}

// Since implements Broker.
func (b *Memory) Since(_ context.Context, channel string, since Position, h History) (Replay,
	error,
) {
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
func (b *Memory) Join(_ context.Context, r Receiver, channel string, m Member) error {
	c := b.lockOrdered(channel)
	defer c.deliver.Unlock()
	b.mu.RLock()
	attached := b.hubs[r] != nil
	b.mu.RUnlock()
	if !attached {
		c.mu.Unlock()
		return errNotAttached
	}
	if c.members == nil {
		c.members = make(map[presentBy]uint64)
	}
	c.changes++
	p := Presence{Channel: channel, Member: m, Seq: c.changes}
	c.members[presentBy{r, m}] = p.Seq
	c.mu.Unlock()
	b.receivers(channel, func(r Receiver) { r.Presence(p) })
	return nil
}

// Leave implements PresenceBroker.
func (b *Memory) Leave(_ context.Context, r Receiver, channel string, m Member) error {
	b.leave(channel, presentBy{r, m})
	return nil
}

// leave takes somebody out of a channel, who need not be in it.
func (b *Memory) leave(channel string, by presentBy) {
	c := b.lockOrdered(channel)
	_, was := c.members[by]
	if was {
		if delete(c.members, by); len(c.members) == 0 {
			c.members = nil
		}
		c.changes++
		c.lastUsed = time.Now()
	}
	p := Presence{Channel: channel, Member: by.Member, Left: true, Seq: c.changes}
	c.mu.Unlock()
	if was {
		b.receivers(channel, func(r Receiver) { r.Presence(p) })
	}
	c.deliver.Unlock()
	b.tidy(channel)
}

// tidy is called when somebody has left a channel.
func (b *Memory) tidy(channel string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tidyLocked(channel, time.Now())
}

// Members implements PresenceBroker.
func (b *Memory) Members(_ context.Context, channel string) ([]Member, error) {
	c := b.lock(channel)
	defer c.mu.Unlock()
	members := make([]Member, 0, len(c.members))
	for by, seq := range c.members {
		by.Seq = seq
		members = append(members, by.Member)
	}
	return members, nil
}
