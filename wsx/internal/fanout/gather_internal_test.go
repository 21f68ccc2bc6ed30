package fanout

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx/broker"
)

func (of *queue) bring(events, changes int) {
	of.mu.Lock()
	defer of.mu.Unlock()
	of.events = append(of.events, make([]broker.Event, events)...)
	of.changes = append(of.changes, make([]broker.Presence, changes)...)
	of.announceLocked()
}

func TestQueue_GathersAfterACycleOfCrowds(t *testing.T) {
	const lap = 20 * time.Millisecond
	crowds := pace{together: 8, lap: lap}
	for _, c := range []struct {
		name  string
		last  pace
		bring func(q *queue)
		took  time.Duration
	}{
		{"the first cycle begins at once", pace{}, func(*queue) {}, 0},
		{"so does one after a few", pace{together: crowd - 1, lap: lap}, func(*queue) {}, 0},
		{"without an event for a lap the queue goes", crowds, func(*queue) {}, lap},
		{
			"however long the lap was",
			pace{together: 8, lap: time.Hour},
			func(*queue) {},
			maxStay,
		},
		{"an event waits for its like", crowds, func(q *queue) {
			<-time.After(time.Millisecond)
			q.bring(1, 0)
			<-time.After(time.Millisecond)
			q.bring(7, 0)
		}, 2 * time.Millisecond},
		{"for a quarter of a lap", crowds, func(q *queue) {
			<-time.After(time.Millisecond)
			q.bring(1, 0)
			q.bring(6, 0)
		}, time.Millisecond + lap/4},
		{
			"not for long",
			pace{together: 8, lap: time.Hour},
			func(q *queue) { q.bring(1, 0) }, maxGather,
		},
		{"not at all when all are there", crowds, func(q *queue) { q.bring(8, 0) }, 0},
		{"a change of presence waits for nothing", crowds, func(q *queue) { q.bring(0, 1) }, 0},
		{"and ends the wait of an event", crowds, func(q *queue) {
			q.bring(1, 0)
			<-time.After(time.Millisecond)
			q.bring(0, 1)
		}, time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				q, done := newQueue(), make(chan struct{})
				go func() { q.gather(c.last); close(done) }()
				synctest.Wait()
				c.bring(q)
				<-done
				if took := time.Since(began); took != c.took {
					t.Errorf("it took %v, want %v", took, c.took)
				}
				if q.wanted != 0 || len(q.came) != 0 {
					t.Errorf("left over: %d wanted, %d came", q.wanted, len(q.came))
				}
			})
		})
	}
}
