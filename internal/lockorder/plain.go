//go:build !lockorder

package lockorder

import "sync"

// Mutex is a sync.Mutex.
type Mutex = sync.Mutex

// RWMutex is a sync.RWMutex.
type RWMutex = sync.RWMutex
