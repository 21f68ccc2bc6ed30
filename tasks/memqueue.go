package tasks

import (
	"slices"
	"time"
)

// memQueue holds the waiting tasks of a queue by kind, so that those of a kind that a claimer does not run are passed over at once.
type memQueue struct {
	name  string
	count [len(states)]int
	kinds map[string][]*memKind // the versions of those that have tasks, by name
}

func (q *memQueue) waiting() int {
	return q.count[Scheduled.index()] + q.count[Queued.index()] + q.count[Retrying.index()]
}

func (q *memQueue) kind(name string, version int) *memKind {
	for _, k := range q.kinds[name] {
		if k.version == version {
			return k
		}
	}
	k := &memKind{q: q, name: name, version: version, lanes: map[laneID]*lane{}}
	k.plain.kind, k.plain.at = k, -1
	q.kinds[name] = append(q.kinds[name], k)
	return k
}

// left forgets a kind when its last task has left it: with Options.AnyKind their names are the clients'.
func (k *memKind) left() {
	if k.tasks > 0 {
		return
	}
	versions := k.q.kinds
	if versions[k.name] = slices.DeleteFunc(versions[k.name], func(o *memKind) bool { return o == k }); len(versions[k.name]) == 0 {
		delete(versions, k.name)
	}
}

// memKind holds the waiting tasks of one kind and version: by lanes those that are due, by time those that were not when last looked at.
type memKind struct {
	q       *memQueue
	name    string
	version int
	tasks   int              // in any state
	plain   lane             // of priority 0 and no key, as most tasks are
	lanes   map[laneID]*lane // the others that have tasks
	ready   heap[*lane]      // those with tasks, but for those that the claim under way has passed over
	future  heap[*memEntry]
	spare   *lane // an empty one, so that a kind with few tasks does not make a lane for each
}

// laneID is what the tasks of a lane have in common: a claim passes over all of them or none.
type laneID struct {
	key      string
	priority int
}

// lane is due tasks in order.
type lane struct {
	laneID
	kind *memKind
	head *memEntry
	fifo fifo            // those that came in order, which most do
	late heap[*memEntry] // the others
	at   int             // its index in kind.ready, -1 when it is not there
}

func (l *lane) before(o *lane) bool {
	if l.priority != o.priority {
		return l.priority > o.priority
	}
	return l.head.before(o.head)
}
func (l *lane) moved(at int) { l.at = at }

// add takes in a waiting task.
func (k *memKind) add(e *memEntry, now time.Time) {
	if e.time(runAt).After(now) {
		e.lane = nil
		k.future.push(e)
		return
	}
	k.addReady(e)
}

// lane is the one of that ID, which may be new.
func (k *memKind) lane(id laneID) *lane {
	if id == (laneID{}) {
		return &k.plain
	}
	l := k.lanes[id]
	if l != nil {
		return l
	}
	if l = k.spare; l != nil {
		k.spare = nil
		l.laneID = id
	} else {
		l = &lane{laneID: id, kind: k, at: -1}
	}
	k.lanes[id] = l
	return l
}

func (k *memKind) addReady(e *memEntry) {
	l := k.lane(e.laneID())
	e.lane = l
	if e.late = l.fifo.n > 0 && e.place().before(l.fifo.last); e.late {
		l.late.push(e)
	} else {
		l.fifo.push(e)
	}
	switch {
	case l.head == nil:
		l.head = e
		k.ready.push(l)
	case e.before(l.head):
		l.head = e
		if l.at >= 0 {
			k.ready.fix(l.at)
		}
	}
}

// remove takes out a task that was added.
func (k *memKind) remove(e *memEntry) {
	l := e.lane
	switch {
	case l == nil:
		k.future.remove(int(e.at))
		return
	case e.late:
		l.late.remove(int(e.at))
	default:
		l.fifo.remove(int(e.at))
	}
	e.lane = nil
	if l.head != e {
		return
	}
	l.head = nil
	if l.fifo.n > 0 {
		l.head = l.fifo.first()
	}
	if len(l.late) > 0 && (l.head == nil || l.late[0].before(l.head)) {
		l.head = l.late[0]
	}
	if l.head != nil {
		if l.at >= 0 {
			k.ready.fix(l.at)
		}
		return
	}
	if l.at >= 0 {
		k.ready.remove(l.at)
		l.at = -1
	}
	if l != &k.plain {
		delete(k.lanes, l.laneID)
		k.spare = l
	}
}

// promote puts what has become due into lanes.
func (k *memKind) promote(now time.Time) {
	for len(k.future) > 0 && !k.future[0].time(runAt).After(now) {
		e := k.future[0]
		k.future.remove(0)
		k.addReady(e)
	}
}

// memClaim is a claim under way.
type memClaim struct {
	*Claim
	kinds  []*memKind
	passed []*lane // whose key is full; they come back at the end
}

func (q *memQueue) claim(c *Claim, buf []*memKind) memClaim {
	m := memClaim{Claim: c, kinds: buf[:0]}
	for name, highest := range c.Kinds {
		for _, k := range q.kinds[name] {
			if k.version <= highest && (len(k.ready) > 0 || len(k.future) > 0) {
				k.promote(c.Now)
				m.kinds = append(m.kinds, k)
			}
		}
	}
	return m
}

// first returns the task that is next, which stays where it is, or nil.
func (m *memClaim) first() *memEntry {
	for {
		var l *lane
		for _, k := range m.kinds {
			if len(k.ready) > 0 && (l == nil || k.ready[0].before(l)) {
				l = k.ready[0]
			}
		}
		switch {
		case l == nil:
			return nil
		case l.head.time(runAt).After(m.Now): // an earlier claim's clock was ahead of this one's
			e := l.head
			l.kind.remove(e)
			l.kind.future.push(e)
		case l.key != "" && m.Full != nil && m.Full(l.key):
			l.kind.ready.remove(l.at)
			l.at = -1
			m.passed = append(m.passed, l)
		default:
			return l.head
		}
	}
}

// end undoes what first did and returns when the next task is due.
func (m *memClaim) end() (next time.Time) {
	for _, k := range m.kinds {
		switch {
		case len(k.ready) > 0:
			next = m.Now
		case len(k.future) > 0 && (next.IsZero() || k.future[0].time(runAt).Before(next)):
			next = k.future[0].time(runAt)
		}
	}
	for _, l := range m.passed {
		l.kind.ready.push(l)
	}
	return next
}

// fifo is a queue that items may leave from the middle.
type fifo struct {
	s    []*memEntry // nil where one has left
	off  int         // the first that is there
	n    int         // how many are there
	last place       // of the one that came last; it may have left
}

func (f *fifo) first() *memEntry { return f.s[f.off] }

func (f *fifo) push(e *memEntry) {
	if len(f.s) == cap(f.s) && f.n <= len(f.s)/2 {
		f.compact()
	}
	e.moved(len(f.s))
	f.s = append(f.s, e)
	f.n++
	f.last = e.place()
}

func (f *fifo) compact() {
	n := 0
	for _, e := range f.s[f.off:] {
		if e != nil {
			f.s[n] = e
			e.moved(n)
			n++
		}
	}
	clear(f.s[n:])
	f.s, f.off = f.s[:n], 0
}

func (f *fifo) remove(at int) {
	f.s[at] = nil
	if f.n--; f.n == 0 {
		if f.s, f.off = f.s[:0], 0; cap(f.s) > 4096 {
			f.s = nil // a lane that was long once
		}
		return
	}
	for f.s[f.off] == nil {
		f.off++
	}
}
