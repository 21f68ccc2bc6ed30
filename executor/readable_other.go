//go:build !linux

package executor

import "time"

// readable leaves the wait to the poller.
func readable(int, time.Duration) bool { return false }
