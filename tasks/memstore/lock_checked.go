//go:build lockorder

package memstore

import "github.com/genropy/genro-asgi-go/internal/lockorder"

// briefLock waits as every mutex does here, so that its order is checked: that of TryLock, which
// the other one takes the lock by, never is.
type briefLock struct{ lockorder.Mutex }
