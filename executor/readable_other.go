//go:build !linux

package executor

import (
	"os"
	"time"
)

// readable leaves the wait to the poller.
func readable(*os.File, time.Duration) bool { return false }
