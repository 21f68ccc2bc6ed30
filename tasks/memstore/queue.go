package memstore

import (
	"hash/maphash"
	"slices"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// queue holds the waiting tasks of a queue by kind, so that those of a kind that a claimer does
// not run are passed over at once.
type queue struct {
	name  string
	trait trait
	seed  maphash.Seed
	count [len(states)]int
	kinds map[string][]*kindIndex // the versions of those that have tasks, by name
}

func (q *queue) waiting() int {
	return q.count[indexOf(tasks.Scheduled)] + q.count[indexOf(tasks.Queued)] +
		q.count[indexOf(tasks.Retrying)]
}

func (q *queue) kind(name string, version int) *kindIndex {
	for _, k := range q.kinds[name] {
		if k.version == version {
			return k
		}
	}
	k := &kindIndex{
		q: q, name: name, version: version, trait: kindTrait(q.seed, name),
		subqueues: map[subqueueKey]*subqueue{},
	}
	q.kinds[name] = append(q.kinds[name], k)
	return k
}

// forgetIfEmpty forgets a kind when its last task has left it: with Options.AnyKind their names are
// the clients'.
func (k *kindIndex) forgetIfEmpty() {
	if k.tasks > 0 {
		return
	}
	versions := k.q.kinds
	if versions[k.name] = slices.DeleteFunc(versions[k.name],
		func(o *kindIndex) bool { return o == k }); len(versions[k.name]) == 0 {
		delete(versions, k.name)
	}
}

// kindIndex holds the waiting tasks of one kind and version: by subqueues those that are due, by
// time those that were not when last looked at.
type kindIndex struct {
	q         *queue
	name      string
	version   int
	trait     trait
	tasks     int                       // in any state
	subqueues map[subqueueKey]*subqueue // those that have tasks
	// those with tasks, but for those that the claim under way has passed over
	ready  heap[*subqueue]
	future heap[*entry]
}

// subqueueKey is what the tasks of a subqueue have in common: a claim passes over all of them or
// none.
type subqueueKey struct {
	key      string
	priority int
	died     bool // at least once
}

// subqueue is due tasks in order.
type subqueue struct {
	subqueueKey
	kind *kindIndex
	head *entry
	fifo fifo         // those that came in order, which most do
	late heap[*entry] // the others
	at   int          // its index in kind.ready, -1 when it is not there
}

func (l *subqueue) before(o *subqueue) bool {
	if l.priority != o.priority {
		return l.priority > o.priority
	}
	return l.head.before(o.head)
}
func (l *subqueue) moved(at int) { l.at = at }

// add takes in a waiting task.
func (k *kindIndex) add(e *entry, now time.Time) {
	if !e.due(now) {
		e.subqueue = nil
		k.future.push(e)
		return
	}
	k.addReady(e)
}

// subqueue is the one of that ID, which may be new.
func (k *kindIndex) subqueue(id subqueueKey) *subqueue {
	l := k.subqueues[id]
	if l == nil {
		l = &subqueue{subqueueKey: id, kind: k, at: -1}
		k.subqueues[id] = l
	}
	return l
}

func (k *kindIndex) addReady(e *entry) {
	l := k.subqueue(e.subqueueKey())
	e.subqueue = l
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
func (k *kindIndex) remove(e *entry) {
	l := e.subqueue
	switch {
	case l == nil:
		k.future.remove(int(e.at))
		return
	case e.late:
		l.late.remove(int(e.at))
	default:
		l.fifo.remove(int(e.at))
	}
	e.subqueue = nil
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
	delete(k.subqueues, l.subqueueKey)
}

// promote puts what has become due into subqueues.
func (k *kindIndex) promote(now time.Time) {
	for len(k.future) > 0 && !k.future[0].time(runAt).After(now) {
		e := k.future[0]
		k.future.remove(0)
		k.addReady(e)
	}
}

// claim is a claim under way.
type claim struct {
	*tasks.Claim
	kinds   []*kindIndex
	skipped []*subqueue // whose key is full, or whose tasks have died; they come back at the end
}

func (q *queue) claim(c *tasks.Claim, buf []*kindIndex) claim {
	m := claim{Claim: c, kinds: buf[:0]}
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
func (m *claim) first() *entry {
	for {
		var l *subqueue
		for _, k := range m.kinds {
			if len(k.ready) > 0 && (l == nil || k.ready[0].before(l)) {
				l = k.ready[0]
			}
		}
		switch {
		case l == nil:
			return nil
		case !l.head.due(m.Now): // an earlier claim's clock was ahead of this one's
			e := l.head
			l.kind.remove(e)
			l.kind.future.push(e)
		case l.key != "" && m.Full != nil && m.Full(l.key),
			l.died && m.SkipDied != nil && m.SkipDied():
			l.kind.ready.remove(l.at)
			l.at = -1
			m.skipped = append(m.skipped, l)
		default:
			return l.head
		}
	}
}

// finish undoes what first did and returns when the next task is due.
func (m *claim) finish() (next time.Time) {
	for _, k := range m.kinds {
		switch {
		case len(k.ready) > 0:
			next = m.Now
		case len(k.future) > 0 && (next.IsZero() || k.future[0].time(runAt).Before(next)):
			next = k.future[0].time(runAt)
		}
	}
	for _, l := range m.skipped {
		l.kind.ready.push(l)
	}
	return next
}

// fifo is a queue that items may leave from the middle. A heap alone takes more than twice the
// processor's time for each task while a million wait (BenchmarkFIFO).
type fifo struct {
	s    []*entry // nil where one has left
	head int      // the first that is there
	n    int      // how many are there
	last place    // of the one that came last; it may have left
}

func (f *fifo) first() *entry { return f.s[f.head] }

func (f *fifo) push(e *entry) {
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
	for _, e := range f.s[f.head:] {
		if e != nil {
			f.s[n] = e
			e.moved(n)
			n++
		}
	}
	clear(f.s[n:])
	f.s, f.head = f.s[:n], 0
}

func (f *fifo) remove(at int) {
	f.s[at] = nil
	if f.n--; f.n == 0 {
		if f.s, f.head = f.s[:0], 0; cap(f.s) > 4096 {
			f.s = nil // a subqueue that was long once
		}
		return
	}
	for f.s[f.head] == nil {
		f.head++
	}
}
