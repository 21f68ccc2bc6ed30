package asgi

import "github.com/genropy/genro-asgi-go/stats"

// BackgroundStats is what a Background has counted since it was made.
type BackgroundStats struct {
	// Held have a place in the queue and wait for the end of their request: see After.
	Held int `json:"held"`
	// Queued wait for one of the Workers.
	Queued int `json:"queued"`
	// Running run now.
	Running int `json:"running"`
	// Done have returned, those that failed included.
	Done uint64 `json:"done"`
	// Failed have returned an error or panicked.
	Failed uint64 `json:"failed"`
	// Panics are those of Failed that panicked.
	Panics uint64 `json:"panics"`
	// Refused were not accepted: the queue was full, or the Background had been stopped.
	Refused uint64 `json:"refused"`
	// Wait is how long functions that have begun had been queued.
	Wait stats.Histogram `json:"wait"`
	// Run is how long functions that are done ran.
	Run stats.Histogram `json:"run"`
}

// Stats is what the Background has counted. It may be called at any time, after Stop too.
func (b *Background) Stats() BackgroundStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	return BackgroundStats{
		Held: b.accepted - len(b.queue) - b.busy, Queued: len(b.queue), Running: b.busy,
		Done: b.done, Failed: b.failed, Panics: b.panics, Refused: b.refused,
		Wait: b.waits.Read(), Run: b.runs.Read(),
	}
}

// countLocked counts a function that has returned.
func (b *Background) countLocked(panicked bool, err error) {
	b.done++
	if err != nil {
		b.failed++
	}
	if panicked {
		b.panics++
	}
}
