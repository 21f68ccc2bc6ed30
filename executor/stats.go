package executor

import "time"

// Stats is a snapshot of an Executor.
type Stats struct {
	Process  PoolStats            // the process pool
	Blocking map[string]PoolStats // the blocking pool: by class, "" being the one without a name
}

// PoolStats counts the calls of one pool since it was made. The quantiles tell of about the last 8,192 calls and are at most 12.5 % too high.
type PoolStats struct {
	Queued    int    // calls waiting now
	Running   int    // calls running now; in the blocking pool also those whose caller has gone
	Done      uint64 // calls that ended with a value
	Failed    uint64 // calls that ended with an error after they had begun, crashes included
	Killed    uint64 // calls whose worker was killed because their context had ended
	Abandoned uint64 // blocking calls whose caller went before they returned
	Rejected  uint64 // calls that ended with ErrOverloaded

	Workers  int    // worker processes ready now
	Restarts uint64 // worker processes started to replace another

	WaitP50, WaitP99 time.Duration // time in the queue
	RunP50, RunP99   time.Duration // time from the queue to the end
}
