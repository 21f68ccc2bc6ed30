package wsxclient

import (
	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// maxStates is how many changes of state may wait for OnState.
const maxStates = 64

type stateChange struct {
	state State
	err   error
}

// states is what OnState is still to be told. Nothing waits for it: an OnState that does not return
// may wait for the next connection.
type states struct {
	wake chan struct{} // has room for one: there is something new

	mu   lockorder.Mutex
	list []stateChange
}

func (s *states) add(state State, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.list) == maxStates {
		s.list = s.list[1:]
	}
	s.list = append(s.list, stateChange{state, err})
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next waits for the next change.
func (s *states) next() stateChange {
	for {
		s.mu.Lock()
		if len(s.list) > 0 {
			next := s.list[0]
			s.list = s.list[1:]
			s.mu.Unlock()
			return next
		}
		s.mu.Unlock()
		<-s.wake
	}
}

// tell tells OnState of every change, and at the client's end OnDropped of what was never sent.
func (c *Client) tell() {
	for {
		s := c.states.next()
		if s.state == Closed && c.opts.OnDropped != nil {
			for _, w := range c.dropped {
				c.opts.OnDropped(w.method, w.params)
			}
		}
		if c.opts.OnState != nil {
			c.opts.OnState(s.state, s.err)
		}
		if s.state == Closed {
			return
		}
	}
}
