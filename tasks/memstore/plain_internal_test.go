package memstore

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/tasks"
)

// The benchmarks of this file measure what is not written as one writes it first, each beside the
// plain version in one run. What gains less than a tenth is to go.

// BenchmarkFIFO adds a task that is due last and takes the first one out, while a million wait: in
// a fifo, and in a heap alone.
func BenchmarkFIFO(b *testing.B) {
	const waiting = 1_000_000
	entries := make([]entry, 2*waiting)
	for i := range entries {
		entries[i].seq = uint64(i)
	}
	b.Run("fifo", func(b *testing.B) {
		var f fifo
		for i := range waiting {
			f.push(&entries[i])
		}
		for i := 0; b.Loop(); i++ {
			e := f.first()
			f.remove(int(e.at))
			e.seq += waiting
			f.push(e)
		}
	})
	for i := range entries {
		entries[i].seq = uint64(i)
	}
	b.Run("heap", func(b *testing.B) {
		var h heap[*entry]
		for i := range waiting {
			h.push(&entries[i])
		}
		for i := 0; b.Loop(); i++ {
			e := h[0]
			h.remove(0)
			e.seq += waiting
			h.push(e)
		}
	})
}

// BenchmarkIDIndex adds an ID, finds one and removes one, among 200,000: by the hash of the ID, and
// in a map by the ID itself.
func BenchmarkIDIndex(b *testing.B) {
	const n = 200_000
	ids := make([]string, 2*n)
	for i := range ids {
		ids[i] = "a-task-with-a-longer-id-" + strconv.Itoa(i)
	}
	b.Run("hash", func(b *testing.B) {
		x := newIDIndex()
		for i := range n {
			x.add(ids[i], x.hash(ids[i]), uint64(i))
		}
		for i := 0; b.Loop(); i++ {
			added, old := ids[(i+n)%(2*n)], ids[i%(2*n)]
			x.add(added, x.hash(added), uint64(i+n))
			if x.seqs[x.hash(added)] != uint64(i+n) {
				b.Fatal(added)
			}
			x.remove(old, x.hash(old), uint64(i))
		}
	})
	b.Run("map", func(b *testing.B) {
		x, e := map[string]*entry{}, new(entry)
		for i := range n {
			x[ids[i]] = e
		}
		for i := 0; b.Loop(); i++ {
			added := ids[(i+n)%(2*n)]
			x[added] = e
			if x[added] != e {
				b.Fatal(added)
			}
			delete(x, ids[i%(2*n)])
		}
	})
}

// BenchmarkEntry makes what the store keeps of 100,000 tasks that are done: packed entries, and the
// tasks themselves.
func BenchmarkEntry(b *testing.B) {
	const n = 100_000
	now := time.Now()
	task := tasks.Task{ID: "a", State: tasks.Succeeded, Created: now, RunAt: now, Finished: now}
	b.Run("entry", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			kept := make([]*entry, n)
			for i := range kept {
				kept[i] = new(entry)
				kept[i].set(&task)
			}
		}
	})
	b.Run("Task", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			kept := make([]*tasks.Task, n)
			for i := range kept {
				t := task
				kept[i] = &t
			}
		}
	})
}

// BenchmarkBriefLock is 16 goroutines that hold a lock for half a microsecond and then do as much
// without it.
func BenchmarkBriefLock(b *testing.B) {
	for name, l := range map[string]sync.Locker{"brief": new(briefLock), "mutex": new(sync.Mutex)} {
		b.Run(name, func(b *testing.B) {
			work := func() (n int) {
				for i := range 500 {
					n += i * n
				}
				return n
			}
			b.SetParallelism(8)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					l.Lock()
					n := work()
					l.Unlock()
					if n+work() != 0 {
						b.Error(n)
					}
				}
			})
		})
	}
}
