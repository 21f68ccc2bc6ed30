package wsx

import (
	"context"
	"slices"
	"time"

	"github.com/coder/websocket"
)

// closeUnauthenticated closes a connection whose credentials have ended (protocol section 5).
const closeUnauthenticated = 4401

// attempt is an authentication under way. Whom Disconnect names meanwhile is not let in by it: it may have asked before the
// program took the subject's rights away.
type attempt struct {
	disconnected map[string]int // subjects, and the close code of each; guarded by Server.mu, as the next
	subject      string         // of a connection that the client may know of and Server.conns not yet
}

// attempt begins an authentication. The caller settles it.
func (s *Server) attempt() *attempt {
	a := &attempt{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts[a] = struct{}{}
	return a
}

// settleLocked ends an authentication. It returns the close code when Disconnect has named the subject since, else 0.
func (s *Server) settleLocked(a *attempt, subject string) (code int) {
	delete(s.attempts, a)
	return a.disconnected[subject]
}

func (s *Server) settle(a *attempt, subject string) (code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settleLocked(a, subject)
}

// Disconnect closes all connections of a subject with a WebSocket close code, 4401 when it is 0, and returns how many there were. It does not
// wait for the clients: the close frame goes before everything that is queued, calls are cancelled, and nothing more is read. A connection
// whose upgrade, or wsx.auth, is under way is closed as well as soon as it has the subject. Take the subject's rights away first, so
// that it cannot come back. An empty subject is nobody's. It panics when no close frame may carry the code (RFC 6455 section 7.4).
//
// It reaches this server's connections. Event streams of [Hub.SSE] and requests of HTTP are no connections of a Server.
func (s *Server) Disconnect(subject string, code int) int {
	if code == 0 {
		code = closeUnauthenticated
	}
	if code != 1000 && code != 1001 && code != 1008 && code != 1011 && (code < 3000 || code > 4999) {
		panic("wsx: Disconnect: a close code is 1000, 1001, 1008, 1011 or 3000 to 4999")
	}
	if subject == "" {
		return 0
	}
	var conns []*Conn
	upgraded := 0
	s.mu.Lock()
	for a := range s.attempts {
		if a.subject == subject && a.disconnected[subject] == 0 {
			upgraded++
		}
		if a.disconnected == nil {
			a.disconnected = make(map[string]int)
		}
		a.disconnected[subject] = code
	}
	for c := range s.conns {
		if c.Identity().Subject == subject {
			conns = append(conns, c)
		}
	}
	s.mu.Unlock()
	return upgraded + len(slices.DeleteFunc(conns, func(c *Conn) bool { return !c.expel(code, "disconnected") }))
}

// Identity is who the client is. Without authentication it is the zero Identity.
func (c *Conn) Identity() Identity {
	if id := c.identity.Load(); id != nil {
		return *id
	}
	return Identity{}
}

// expel closes a connection at once, without waiting for its client. It reports whether it was not over before.
func (c *Conn) expel(code int, reason string) bool {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return false
	}
	c.overLocked()
	c.server.hold() // the connection still counts, so the server has not stopped
	c.mu.Unlock()

	c.ws.Drop(websocket.StatusCode(code), reason)
	c.end(NewError(CodeUnauthenticated, reason))
	c.cancelAll()
	go func() {
		defer c.server.leave()
		_ = c.ws.Close(websocket.StatusCode(code), reason) // it ends either way, and the leader logs how
	}()
	return true
}

// overLocked ends what a connection may do.
func (c *Conn) overLocked() {
	c.over = true
	if c.expiry != nil {
		c.expiry.Stop()
	}
}

// isOver is the end of a connection that has come by itself.
func (c *Conn) isOver() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.overLocked()
}

// renew gives a connection an identity, and its credentials their end.
func (c *Conn) renew(id *Identity) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return context.Canceled // there is nobody to answer
	}
	if old := c.Identity().Subject; old != "" && old != id.Subject {
		return NewError(CodePermissionDenied, "the token is not the subject's of this connection")
	}
	c.identity.Store(id)
	c.scheduleLocked(id)
	return nil
}

// scheduleLocked sees to the end of a connection whose credentials end.
func (c *Conn) scheduleLocked(id *Identity) {
	if c.expiry != nil {
		c.expiry.Stop()
		c.expiry = nil
	}
	if !c.over && !id.Expires.IsZero() {
		c.expiry = time.AfterFunc(time.Until(id.Expires), c.expire)
	}
}

// expire is the end of the credentials, unless they were renewed just before or the clock was set back.
func (c *Conn) expire() {
	c.mu.Lock()
	id := c.identity.Load()
	ended := expired(id)
	if !ended {
		c.scheduleLocked(id)
	}
	c.mu.Unlock()
	if ended {
		c.expel(closeUnauthenticated, "credentials expired")
	}
}
