package filestore

import "github.com/genropy/genro-asgi-go/tasks"

// What is kept for a task of a kind of which none has finished yet. One cannot know how large
// results will be, so it is much for as many tasks as a small disk has room for, and little for
// those beyond them: else a large disk would take too few.
const (
	firstTasks    = 1024      // tasks of a kind
	keptForFirst  = 128 << 10 // bytes for each of them, but no more than this part of the disk:
	partForFirst  = 256
	keptForOthers = 4 << 10
)

// What tasks that have finished say about those that are to come.
const (
	priorWeight = 8    // tasks that weigh as much as what was kept before the first had finished
	window      = 1000 // how many tasks the mean is of, about
	recordsOf   = 256  // bytes of a claim, an end and a deletion, without their values
)

// budget counts what the store's tasks take in a snapshot, and what they are expected to add until
// they have finished. A disk needs room for both: a task is taken only where it can finish. The
// store's lock guards it.
type budget struct {
	reserve  int64 // for each unfinished task; 0 learns it
	first    int64 // what is kept for each of a kind's first tasks before one has finished
	kinds    map[string]*kindBudget
	live     int64 // bytes of the tasks, hardly less than what a snapshot has
	expected int64 // bytes that unfinished tasks will add, as far as one can know
}

// kindBudget is what a budget knows of a kind. There are as many as functions were registered.
type kindBudget struct {
	unfinished int64 // tasks
	finished   int64 // tasks that added is of
	added      int64 // bytes
	expected   int64 // this kind's part of the budget's
}

// init makes it an empty one, for a disk of some size; 0 is unknown.
func (b *budget) init(reserve, disk int64) {
	b.reserve, b.first, b.kinds = reserve, keptForFirst, map[string]*kindBudget{}
	if disk > 0 {
		b.first = min(b.first, disk/partForFirst)
	}
}

// change notes that old, nil for a new task, became t, nil for one that is deleted.
func (b *budget) change(old, t *tasks.Task) {
	was, is := false, false // whether it was, and is, unfinished
	if old != nil {
		b.live -= sizeOf(old)
		was = !old.State.Done()
	}
	if t != nil {
		b.live += sizeOf(t)
		is = !t.State.Done()
	}
	if was == is {
		return
	}
	of := old
	if is {
		of = t
	}
	k := b.kind(of.Kind)
	if is {
		k.unfinished++
	} else {
		k.unfinished--
	}
	b.count(k)
	if t != nil && was {
		b.learn(t)
	}
}

// learn takes a task that has finished for an example of those to come.
func (b *budget) learn(t *tasks.Task) {
	if t.State == tasks.Cancelled {
		return // its function may not have run
	}
	k := b.kind(t.Kind)
	if k.finished == window {
		k.added -= k.added / window
		k.finished--
	}
	k.added += addedTo(t)
	k.finished++
	b.count(k)
}

func (b *budget) kind(name string) *kindBudget {
	k := b.kinds[name]
	if k == nil {
		k = new(kindBudget)
		b.kinds[name] = k
	}
	return k
}

// count brings what is expected of a kind's tasks up to date.
func (b *budget) count(k *kindBudget) {
	first := min(k.unfinished, firstTasks)
	expected := first*b.each(k, b.first) + (k.unfinished-first)*
		b.each(k, min(b.first, keptForOthers))
	b.expected += expected - k.expected
	k.expected = expected
}

// each is what is kept for an unfinished task: a quarter more than the mean of those that have
// finished.
func (b *budget) each(k *kindBudget, before int64) int64 {
	if b.reserve > 0 {
		return b.reserve + recordsOf
	}
	return (priorWeight*before+k.added+k.added/4)/(priorWeight+k.finished) + recordsOf
}

// forNew is what a new task of a kind is expected to add.
func (b *budget) forNew(kind string) int64 {
	k := b.kinds[kind]
	if k == nil {
		k = new(kindBudget) // it may not be taken
	}
	before := b.first
	if k.unfinished >= firstTasks {
		before = min(before, keptForOthers)
	}
	return b.each(k, before)
}

// What the fixed parts of a task, a progress and an error take at most, about.
const (
	taskSize     = 192
	progressSize = 48
	errorSize    = 96
	pairSize     = 8 // of metadata
)

// sizeOf is about what a task takes in a snapshot, hardly ever more.
func sizeOf(t *tasks.Task) int64 {
	size := taskSize + len(t.ID) + len(t.Kind) + len(t.Queue) + len(t.Key) + len(t.Owner) +
		len(t.Payload)
	for name, value := range t.Metadata {
		size += pairSize + len(name) + len(value)
	}
	if t.Unique != nil {
		size += len(t.Unique.Key)
	}
	return int64(size) + addedTo(t)
}

// addedTo is what a task's runs have added to it.
func addedTo(t *tasks.Task) int64 {
	size := len(t.Checkpoint) + len(t.Result)
	if p := t.Progress; p != nil {
		size += progressSize + len(p.Message) + len(p.Data)
	}
	if e := t.Error; e != nil {
		size += errorSize + len(e.Message) + len(e.Detail)
		if e.Problem != nil {
			size += len(e.Problem.Encode())
		}
	}
	return int64(size)
}
