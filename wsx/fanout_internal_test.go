package wsx

import (
	"testing"
	"testing/synctest"
	"time"
)

// gathering is a lane whose goroutine gathers, and what tells when it is done.
func gathering(last turning) (*lane, <-chan struct{}) {
	l := newLane()
	l.last = last
	done := make(chan struct{})
	go func() { l.gather(); close(done) }()
	return l, done
}

func (l *lane) put(events, changes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, make([]Event, events)...)
	l.changes = append(l.changes, make([]Presence, changes)...)
	l.announceLocked()
}

func TestLane_GathersAfterARoundOfCrowds(t *testing.T) {
	const turn = 20 * time.Millisecond
	crowds := turning{together: 8, turn: turn}
	for _, c := range []struct {
		name string
		last turning
		put  func(l *lane)
		took time.Duration
	}{
		{"a lane's first round begins at once", turning{}, func(*lane) {}, 0},
		{"so does one after a round of few", turning{together: crowd - 1, turn: turn}, func(*lane) {}, 0},
		{"without an event for a turn the lane goes", crowds, func(*lane) {}, turn},
		{"however long the turn was", turning{together: 8, turn: time.Hour}, func(*lane) {}, stayMax},
		{"an event waits for its like", crowds, func(l *lane) {
			<-time.After(time.Millisecond)
			l.put(1, 0)
			<-time.After(time.Millisecond)
			l.put(7, 0)
		}, 2 * time.Millisecond},
		{"for a quarter of a turn", crowds, func(l *lane) {
			<-time.After(time.Millisecond)
			l.put(1, 0)
			l.put(6, 0)
		}, time.Millisecond + turn/4},
		{"not for long", turning{together: 8, turn: time.Hour}, func(l *lane) { l.put(1, 0) }, gatherMax},
		{"not at all when all are there", crowds, func(l *lane) { l.put(8, 0) }, 0},
		{"a change of presence waits for nothing", crowds, func(l *lane) { l.put(0, 1) }, 0},
		{"and ends the wait of an event", crowds, func(l *lane) {
			l.put(1, 0)
			<-time.After(time.Millisecond)
			l.put(0, 1)
		}, time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				l, done := gathering(c.last)
				synctest.Wait()
				c.put(l)
				<-done
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if l.wants != 0 || len(l.came) != 0 || l.last != (turning{}) {
					t.Errorf("left over: wants %d, came %d, last %v", l.wants, len(l.came), l.last)
				}
			})
		})
	}
}
