package tasks

import (
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// progressEvery is the least time between two writes of progress.
const progressEvery = 100 * time.Millisecond

// progress throttles what a run says of its progress.
type progress struct {
	mu      sync.Mutex  // held during a write
	next    *Progress   // waits for its time
	resting func() bool // takes back the end of the rest after a write; nil when there is none
	ended   bool
}

// report is the reporter of Run.Progress.
func (a *attempt) report(p *Progress) error {
	a.said.mu.Lock()
	defer a.said.mu.Unlock()
	if a.said.ended {
		return ErrStale
	}
	p.At = a.q.m.now()
	if a.said.resting != nil {
		a.said.next = p
		return nil
	}
	return a.writeProgressLocked(p)
}

// writeProgressLocked writes p, and rests.
func (a *attempt) writeProgressLocked(p *Progress) error {
	m := a.q.m
	a.said.next = nil
	a.said.resting = m.clock.AfterFunc(progressEvery, func() {
		// Not here, as a write may take its time. The attempt's own worker is still counted while it is not ended.
		a.said.mu.Lock()
		defer a.said.mu.Unlock()
		a.said.resting = nil
		if !a.said.ended && a.said.next != nil {
			m.workers.Go(a.writeNext)
		}
	})
	return a.update(func(t *Task) { t.Progress = p })
}

func (a *attempt) writeNext() {
	a.said.mu.Lock()
	defer a.said.mu.Unlock()
	if a.said.ended || a.said.next == nil || a.said.resting != nil {
		return
	}
	if err := a.writeProgressLocked(a.said.next); err != nil {
		a.q.m.log.Debug("tasks: write progress", "task", a.task.ID, "error", err)
	}
}

// end takes no more, and returns what was not written.
func (p *progress) end() *Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.resting != nil {
		p.resting()
	}
	return p.next
}

// save is the reporter of Run.Checkpoint.
func (a *attempt) save(checkpoint jsontext.Value) error {
	return a.update(func(t *Task) { t.Checkpoint = checkpoint })
}

// update changes the task as long as it is this attempt's, else ErrStale.
func (a *attempt) update(change func(t *Task)) error {
	_, err := a.q.m.store.Update(a.q.m.ctx, a.task.ID, a.q.m.now(), func(t *Task) error {
		if !a.holds(t) {
			return ErrStale
		}
		change(t)
		return nil
	})
	return err
}
