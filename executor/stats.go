package executor

import (
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/input"
)

// Stats is a snapshot of an Executor.
type Stats struct {
	Process PoolStats `json:"process"` // the process pool
	// the blocking pool: by class, "" being the one without a name
	Blocking map[string]PoolStats `json:"blocking"`
}

// PoolStats counts the calls of one pool since it was made. The quantiles tell of about the last
// 8,192 calls and are at most 12.5 % too high.
type PoolStats struct {
	Queued int `json:"queued"` // calls waiting now
	// calls running now; in the blocking pool also those whose caller has gone
	Running int    `json:"running"`
	Done    uint64 `json:"done"` // calls that ended with a value
	// calls that ended with an error after they had begun, crashes included
	Failed uint64 `json:"failed"`
	// calls whose worker was killed because their context had ended
	Killed    uint64 `json:"killed"`
	Abandoned uint64 `json:"abandoned"` // blocking calls whose caller went before they returned
	Rejected  uint64 `json:"rejected"`  // calls that ended with ErrOverloaded

	Workers  int    `json:"workers"`  // worker processes ready now
	Restarts uint64 `json:"restarts"` // worker processes started to replace another

	// time in the queue; in JSON a text such as "1.5ms", as all durations here
	WaitP50 time.Duration `json:"wait_p50"`
	WaitP99 time.Duration `json:"wait_p99"`
	RunP50  time.Duration `json:"run_p50"` // time from the queue to the end
	RunP99  time.Duration `json:"run_p99"`
}

// plainStats is PoolStats without its methods.
type plainStats PoolStats

// MarshalJSON writes the counts, with durations as texts, for encoding/json and JSON v2 alike: the
// latter has no way of its own for them.
func (s PoolStats) MarshalJSON() ([]byte, error) {
	return json.Marshal((*plainStats)(&s), json.WithMarshalers(input.WriteDuration()))
}

// UnmarshalJSON is its opposite.
func (s *PoolStats) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, (*plainStats)(s), json.WithUnmarshalers(input.ReadDuration()))
}
