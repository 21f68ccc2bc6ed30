package pattern

import (
	"strings"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// Index holds values by pattern and finds those whose pattern a name matches. The zero value is
// empty.
//
// The patterns are a tree of tokens, and the walk for one name may come by every node of it where
// patterns overlap. So the walks are kept as an automaton, which is made as far as names ask for
// it: a state is the set of nodes where a walk stands after some tokens, and all tokens that are in
// no pattern lead to the same next state. A match then costs one step a token however many patterns
// there are, for names never seen before too. A pattern that is put or removed clears the
// automaton.
//
// Match may be called by many goroutines at a time; Put and Remove by one, and not meanwhile.
type Index[T any] struct {
	root     node[T]
	edges    map[edge[T]]*node[T]
	literals map[string]int // by token: how many edges have it

	mu     lockorder.RWMutex // guards what follows
	start  *state[T]         // nil until somebody asks
	weight int               // of all states
}

// node is where a pattern goes on, or ends with a value.
type node[T any] struct {
	value T
	set   bool // a pattern ends here
	edges int  // that leave it
}

// edge leads from a node to the next. One map has them all: where nodes have few edges, that takes
// less memory than a map each.
type edge[T any] struct {
	from  *node[T]
	token string
}

// state is where a walk stands.
type state[T any] struct {
	nodes []*node[T]
	// values of the patterns that end in a > to which the token that came last belongs: they match,
	// whatever follows
	tails  []T
	values []T                  // of the patterns that match a name that ends here
	next   map[string]*state[T] // by the tokens that some pattern has somewhere
	other  *state[T]            // by all other tokens; nil until one has come, as those of next
}

// maxWeight is how much the states may hold together, counted in states and in what they point to:
// 1 MiB, about. Beyond it the automaton begins anew.
const maxWeight = 32 << 10

// Put sets the value of a pattern.
func (x *Index[T]) Put(pattern string, value T) {
	if x.edges == nil {
		x.edges, x.literals = make(map[edge[T]]*node[T]), make(map[string]int)
	}
	n := &x.root
	for token := range strings.SplitSeq(pattern, ".") {
		to := edge[T]{n, token}
		if x.edges[to] == nil {
			x.edges[to] = &node[T]{}
			x.literals[token]++
			n.edges++
		}
		n = x.edges[to]
	}
	n.value, n.set = value, true
	x.clear()
}

// Remove forgets a pattern, and the nodes that only it had.
func (x *Index[T]) Remove(pattern string) {
	x.prune(&x.root, pattern)
	x.clear()
}

// prune is Remove for the rest of a pattern, behind a node.
func (x *Index[T]) prune(from *node[T], pattern string) {
	token, rest, more := strings.Cut(pattern, ".")
	to := edge[T]{from, token}
	n := x.edges[to]
	switch {
	case n == nil:
		return
	case more:
		x.prune(n, rest)
	default:
		var zero T
		n.value, n.set = zero, false
	}
	if n.set || n.edges > 0 {
		return
	}
	delete(x.edges, to)
	from.edges--
	if x.literals[token]--; x.literals[token] == 0 {
		delete(x.literals, token)
	}
}

// clear makes the automaton begin anew.
func (x *Index[T]) clear() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.start, x.weight = nil, 0
}

// Match returns the values of all patterns that name matches, which the caller must not change.
func (x *Index[T]) Match(name string) []T {
	if len(x.edges) == 0 {
		return nil
	}
	x.mu.RLock()
	s := x.walk(name, x.start, (*state[T]).after)
	x.mu.RUnlock()
	if s == nil {
		x.mu.Lock()
		if x.start == nil || x.weight > maxWeight {
			x.start, x.weight = &state[T]{nodes: []*node[T]{&x.root}}, 1
		}
		s = x.walk(name, x.start, x.stepLocked)
		x.mu.Unlock()
	}
	return s.values
}

// walk takes the steps of name from s. It is nil where one is.
func (x *Index[T]) walk(name string, s *state[T],
	step func(s *state[T], token string, literal bool) *state[T],
) *state[T] {
	for more := true; more && s != nil && len(s.nodes) > 0; {
		var token string
		token, name, more = strings.Cut(name, ".")
		_, literal := x.literals[token]
		s = step(s, token, literal)
	}
	return s
}

// after is the state behind s and a token, nil when it is not made yet.
func (s *state[T]) after(token string, literal bool) *state[T] {
	if literal {
		return s.next[token]
	}
	return s.other
}

// stepLocked is after, and makes the state if need be.
func (x *Index[T]) stepLocked(s *state[T], token string, literal bool) *state[T] {
	if to := s.after(token, literal); to != nil {
		return to
	}
	to := &state[T]{tails: s.tails[:len(s.tails):len(s.tails)]}
	for _, n := range s.nodes {
		if tail := x.edges[edge[T]{n, ">"}]; tail != nil {
			to.tails = append(to.tails, tail.value)
		}
		if star := x.edges[edge[T]{n, "*"}]; star != nil {
			to.nodes = append(to.nodes, star)
		}
		if !literal {
			continue
		}
		if n := x.edges[edge[T]{n, token}]; n != nil {
			to.nodes = append(to.nodes, n)
		}
	}
	to.values = to.tails[:len(to.tails):len(to.tails)]
	for _, n := range to.nodes {
		if n.set {
			to.values = append(to.values, n.value)
		}
	}
	x.weight += 4 + len(to.nodes) + len(to.tails) + len(to.values)
	if !literal {
		s.other = to
		return to
	}
	if s.next == nil {
		s.next = make(map[string]*state[T])
	}
	s.next[token] = to
	return to
}
