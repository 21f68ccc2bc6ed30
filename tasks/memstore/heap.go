package memstore

// heap is a binary heap whose items know where they are, so that they can leave from the middle.
type heap[T heapItem[T]] []T

type heapItem[T any] interface {
	before(T) bool
	moved(at int)
}

func (h *heap[T]) push(x T) {
	*h = append(*h, x)
	h.up(len(*h) - 1)
}

// remove takes out the item at i.
func (h *heap[T]) remove(i int) {
	s := *h
	last := len(s) - 1
	var none T
	s[i], s[last] = s[last], none
	*h = s[:last]
	if i < last {
		h.fix(i)
	}
}

// fix puts the item at i, whose order has changed, where it belongs.
func (h *heap[T]) fix(i int) {
	if !h.down(i) {
		h.up(i)
	}
}

func (h *heap[T]) up(i int) {
	s := *h
	x := s[i]
	for i > 0 {
		parent := (i - 1) / 2
		if !x.before(s[parent]) {
			break
		}
		s[i] = s[parent]
		s[i].moved(i)
		i = parent
	}
	s[i] = x
	x.moved(i)
}

// down reports whether the item at i went down.
func (h *heap[T]) down(i int) bool {
	s := *h
	x, from := s[i], i
	for {
		child := 2*i + 1
		if child >= len(s) {
			break
		}
		if right := child + 1; right < len(s) && s[right].before(s[child]) {
			child = right
		}
		if !s[child].before(x) {
			break
		}
		s[i] = s[child]
		s[i].moved(i)
		i = child
	}
	s[i] = x
	x.moved(i)
	return i > from
}
