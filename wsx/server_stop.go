package wsx

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// goingAway is the reason beside close code 1001.
const goingAway = "server going away"

// Start implements the Start of a component. It fails after Stop: a server runs once.
func (s *Server) Start(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return errors.New("wsx: a server that was stopped cannot start again")
	}
	return nil
}

// Stop takes no more connections and requests (UNAVAILABLE), lets the requests in flight end within
// DrainTimeout, closes every connection with 1001 and waits until all goroutines have ended. When
// ctx ends before, it drops the connections that are left and, when handlers that ignore their
// context are there 100 ms later, returns an error that says how many connections have some. It may
// be called more than once.
func (s *Server) Stop(ctx context.Context) error {
	defer context.AfterFunc(ctx, s.drop)()
	s.beginStopping()
	s.mu.Lock()
	s.stopped = true
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()

	var closing sync.WaitGroup
	for _, c := range conns {
		closing.Go(func() { s.close(c) })
	}
	closing.Wait()

	s.mu.Lock()
	if s.running > 0 && s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.mu.Unlock()
	if empty == nil {
		return nil
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
	}
	grace := time.NewTimer(dropGrace)
	defer grace.Stop()
	select {
	case <-empty:
		return nil
	case <-grace.C:
		s.mu.Lock()
		defer s.mu.Unlock()
		return fmt.Errorf("wsx: %d connections have handlers that do not end: %w", len(s.conns),
			context.Cause(ctx))
	}
}

// dropGrace is how long a handler may take to end when the end of Stop's context has dropped its
// connection: it learns only then.
const dropGrace = 100 * time.Millisecond

// close drains one connection and closes it with 1001.
func (s *Server) close(c *Conn) {
	if quiet := c.calls.drain(); quiet != nil {
		timeout := time.NewTimer(max(0, s.opts.DrainTimeout))
		select {
		case <-quiet:
		case <-timeout.C:
		case <-s.dropped.Done():
		case <-c.ctx.Done():
		}
		timeout.Stop()
	}
	s.goAway(c)
}

// goAway closes a connection with 1001.
func (s *Server) goAway(c *Conn) {
	// a peer that does not answer is dropped: there is no more to do
	stop := context.AfterFunc(s.dropped, func() { _ = c.ws.CloseNow() })
	_ = c.ws.Close(websocket.StatusGoingAway, goingAway)
	stop()
}
