package executor

import (
	"container/heap"
	"time"
)

type waiter struct {
	priority   int
	seq        uint64
	key        string
	in         *waiterHeap // where it stands, nil once admitted or refused
	index      int
	since      time.Duration // when it came, on clock
	verdict    chan error    // capacity 1: that a caller is admitted, or a function queued
	job        *runner       // the function, nil for a caller
	mayGoAhead bool          // it may have an extra place
}

// waiterHeap is a container/heap: the highest priority first, the oldest first among equals.
type waiterHeap []*waiter

func (h waiterHeap) Len() int { return len(h) }

func (h waiterHeap) Less(i, j int) bool {
	if h[i].priority != h[j].priority {
		return h[i].priority > h[j].priority
	}
	return h[i].seq < h[j].seq
}

func (h waiterHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *waiterHeap) Push(x any) {
	w := x.(*waiter)
	w.index = len(*h)
	*h = append(*h, w)
}

// Pop implements heap.Interface.
func (h *waiterHeap) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return w
}

func (w *waiter) push(h *waiterHeap) {
	w.in = h
	heap.Push(h, w)
}

func (w *waiter) remove() {
	heap.Remove(w.in, w.index)
	w.in = nil
}
