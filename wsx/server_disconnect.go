package wsx

import (
	"slices"
)

// closeUnauthenticated closes a connection whose credentials have ended (protocol section 5).
const closeUnauthenticated = 4401

// attempt is an authentication under way. Whom Disconnect names meanwhile is not let in by it: it
// may have asked before the program took the subject's rights away.
type attempt struct {
	// subjects, and the close code of each; guarded by Server.mu, as the next
	disconnected map[string]int
	// of a connection that the client may know of and Server.conns not yet
	subject string
}

// attempt begins an authentication. The caller settles it.
func (s *Server) attempt() *attempt {
	a := &attempt{}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts[a] = struct{}{}
	return a
}

// endAttemptLocked ends an authentication. It returns the close code when Disconnect has named the
// subject since, else 0.
func (s *Server) endAttemptLocked(a *attempt, subject string) (code int) {
	delete(s.attempts, a)
	return a.disconnected[subject]
}

func (s *Server) endAttempt(a *attempt, subject string) (code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.endAttemptLocked(a, subject)
}

// Disconnect closes all connections of a subject with a WebSocket close code, 4401 when it is 0,
// and returns how many there were. It does not wait for the clients: the close frame goes before
// everything that is queued, calls are cancelled, and nothing more is read. A connection whose
// upgrade, or wsx.auth, is under way is closed as well as soon as it has the subject. Take the
// subject's rights away first, so that it cannot come back. An empty subject is nobody's. It panics
// when no close frame may carry the code (RFC 6455 section 7.4).
//
// It reaches this server's connections. Event streams of [Hub.SSE] and requests of HTTP are no
// connections of a Server.
func (s *Server) Disconnect(subject string, code int) int {
	if code == 0 {
		code = closeUnauthenticated
	}
	if code != 1000 && code != 1001 && code != 1008 && code != 1011 &&
		(code < 3000 || code > 4999) {
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
	return upgraded +
		len(slices.DeleteFunc(conns,
			func(c *Conn) bool { return !c.disconnect(code, "disconnected") }))
}
