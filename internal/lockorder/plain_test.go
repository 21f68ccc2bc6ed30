//go:build !lockorder

package lockorder

import (
	"sync"
	"testing"
)

func TestMutex_IsThatOfSync(t *testing.T) {
	if _, same := any(&Mutex{}).(*sync.Mutex); !same {
		t.Error("a Mutex that is not checked has a cost of its own")
	}
	if _, same := any(&RWMutex{}).(*sync.RWMutex); !same {
		t.Error("an RWMutex that is not checked has a cost of its own")
	}
}
