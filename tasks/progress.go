package tasks

import (
	"errors"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/tasks/internal/throttle"
)

// report is the reporter of Run.Progress.
func (a *attempt) report(p *Progress) error {
	p.At = a.q.m.now()
	return sayOf(&a.progress, a, p)
}

// queueName is the reporter of Run.Queue.
func (a *attempt) queueName() string { return a.q.name }

// sayOf says p by way of a throttle. The error is ErrStale after the run's end.
func sayOf(said *throttle.Throttle[Progress], to throttle.Receiver[Progress], p *Progress) error {
	if err := said.Say(to, p); !errors.Is(err, throttle.ErrEnded) {
		return err
	}
	return ErrStale
}

// Tell implements throttle.Receiver.
func (a *attempt) Tell(p *Progress) error {
	return a.update(func(t *Task) { t.Progress = p })
}

// After implements throttle.Receiver.
func (a *attempt) After(d time.Duration, f func()) (stop func() bool) {
	return a.q.m.clock.AfterFunc(d, f)
}

// Start implements throttle.Receiver. It is called before the run has ended, while its own worker
// is counted still.
func (a *attempt) Start(f func() error) {
	a.q.m.workers.Go(func() {
		if err := f(); err != nil {
			a.q.m.log.Debug("tasks: write progress", "task", a.task.ID, "error", err)
		}
	})
}

// save is the reporter of Run.Checkpoint.
func (a *attempt) save(checkpoint jsontext.Value) error {
	acquitted := false
	err := a.update(func(t *Task) {
		if acquitted = t.clearsDeaths(checkpoint); acquitted {
			t.Deaths = 0
		}
		t.Checkpoint = checkpoint
	})
	if err == nil && acquitted {
		a.q.m.suspects.release(a)
	}
	return err
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
