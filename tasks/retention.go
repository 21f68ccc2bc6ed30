package tasks

import "time"

// sweepPage is how many tasks one step of the sweep looks at.
const sweepPage = 500

// sweep deletes what has been done for longer than the retention, page by page, and returns when to do so again.
func (m *Manager) sweep() time.Duration {
	f := &Filter{
		States: []State{Succeeded, Failed, Cancelled, Dead},
		Before: m.now().Add(-m.opts.Retention), Limit: sweepPage,
	}
	again := min(max(m.opts.Retention/24, time.Second), 10*time.Minute)
	for m.ctx.Err() == nil {
		_, next, err := m.clearPage(m.ctx, f)
		if err != nil && m.ctx.Err() == nil {
			m.log.Error("tasks: delete old tasks", "error", err)
		}
		if err != nil || next == "" {
			break
		}
		f.Cursor = next
	}
	return again
}
