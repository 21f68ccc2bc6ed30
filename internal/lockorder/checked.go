//go:build lockorder

package lockorder

import "sync"

// Mutex is a sync.Mutex whose order is checked.
type Mutex struct {
	mu sync.Mutex
	lock
}

// Lock is that of sync.Mutex.
func (m *Mutex) Lock() {
	m.before()
	m.mu.Lock()
	m.taken()
}

// TryLock is that of sync.Mutex.
func (m *Mutex) TryLock() bool {
	ok := m.mu.TryLock()
	if ok {
		m.taken()
	}
	return ok
}

// Unlock is that of sync.Mutex.
func (m *Mutex) Unlock() {
	m.released()
	m.mu.Unlock()
}

// RWMutex is a sync.RWMutex whose order is checked. A lock for reading counts as one for writing:
// a writer that waits between two readers makes the second one wait for the first.
type RWMutex struct {
	mu sync.RWMutex
	lock
}

// Lock is that of sync.RWMutex.
func (m *RWMutex) Lock() {
	m.before()
	m.mu.Lock()
	m.taken()
}

// TryLock is that of sync.RWMutex.
func (m *RWMutex) TryLock() bool {
	ok := m.mu.TryLock()
	if ok {
		m.taken()
	}
	return ok
}

// Unlock is that of sync.RWMutex.
func (m *RWMutex) Unlock() {
	m.released()
	m.mu.Unlock()
}

// RLock is that of sync.RWMutex.
func (m *RWMutex) RLock() {
	m.before()
	m.mu.RLock()
	m.taken()
}

// TryRLock is that of sync.RWMutex.
func (m *RWMutex) TryRLock() bool {
	ok := m.mu.TryRLock()
	if ok {
		m.taken()
	}
	return ok
}

// RUnlock is that of sync.RWMutex.
func (m *RWMutex) RUnlock() {
	m.released()
	m.mu.RUnlock()
}
