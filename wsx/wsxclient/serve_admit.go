package wsxclient

import (
	"slices"

	"github.com/genropy/genro-asgi-go/wsx"
)

// What may wait for a place among Options.MaxInFlight. A server of package wsx has 256 calls under
// way at most.
const (
	maxWaiting      = 1024
	maxWaitingBytes = 4 << 20
)

// admit takes a call in, or says why not.
func (s *served) admit(in *incoming) *wsx.Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.calls[string(in.id)] != nil:
		return wsx.NewError(wsx.CodeInvalidRequest, "a request with this id is in flight")
	case len(s.queue) == 0 && s.running-s.waiting < s.link.client.opts.MaxInFlight:
		s.running++
	case len(s.queue) >= maxWaiting, len(s.queue) > 0 && s.queued+in.size > maxWaitingBytes:
		return wsx.NewError(wsx.CodeUnavailable, "as many calls wait as may")
	default:
		in.place = make(chan struct{})
		s.queue = append(s.queue, in)
		s.queued += in.size
	}
	if s.calls == nil {
		s.calls = make(map[string]*incoming)
	}
	s.calls[string(in.id)] = in
	return nil
}

// awaitPlace waits for a place. It reports false when the call's context ended first.
func (s *served) awaitPlace(in *incoming) bool {
	if in.place == nil {
		return true
	}
	select {
	case <-in.place:
		return true
	case <-in.ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, in)
	if i < 0 {
		return true // it was given one meanwhile
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	s.queued -= in.size
	return false
}

// finished is the end of a call whose handler has returned.
func (s *served) finished(in *incoming) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in.returned = true
	if in.waits > 0 { // in a goroutine that the handler left behind
		s.waiting--
	}
	s.running--
	s.givePlacesLocked()
}

// givePlacesLocked gives the places that are free to those that wait longest.
func (s *served) givePlacesLocked() {
	for len(s.queue) > 0 && s.running-s.waiting < s.link.client.opts.MaxInFlight {
		in := s.queue[0]
		s.queue = slices.Delete(s.queue, 0, 1)
		s.queued -= in.size
		s.running++
		close(in.place)
	}
}

// Waits implements clientcall.Waiter.
func (in *incoming) Waits() (done func()) {
	s := in.served
	s.mu.Lock()
	defer s.mu.Unlock()
	if !in.returned {
		if in.waits == 0 {
			s.waiting++
			s.givePlacesLocked()
		}
		in.waits++
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if in.returned {
			return
		}
		if in.waits--; in.waits == 0 {
			s.waiting--
		}
	}
}
