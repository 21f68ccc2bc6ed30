package proc

import "runtime/debug"

// limitHeap sets the Go memory limit below the hard one, so that the collector works harder before
// the end comes.
func limitHeap(bytes int64) { debug.SetMemoryLimit(bytes / 100 * 85) }
