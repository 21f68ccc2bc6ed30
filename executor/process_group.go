package executor

import (
	"errors"
	"os"

	"github.com/genropy/genro-asgi-go/executor/internal/frame"
	"github.com/genropy/genro-asgi-go/executor/internal/proc"
	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// processGroup is a worker's process with all that it has started, as far as it has to be ended.
type processGroup struct {
	first *os.Process // the worker; set before the group is known to others

	// Guarded by mu, under which the group is signalled: once the worker was waited for, its number
	// may be another's.
	mu      lockorder.Mutex
	dead    bool   // it is waited for: nothing is signalled any more
	killing bool   // this executor is ending it
	broken  string // how the worker broke the protocol
}

// terminate asks all of the group to end.
func (g *processGroup) terminate() { g.signal(proc.Terminate) }

// kill ends all of the group.
func (g *processGroup) kill() { g.signal(proc.Kill) }

func (g *processGroup) signal(send func(*os.Process)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.dead {
		g.killing = true
		send(g.first)
	}
}

// killBroken ends all of the group because of an error on the worker's pipes. If the worker has
// died by itself, nothing changes; if it has broken the protocol, its crash says so.
func (g *processGroup) killBroken(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.dead {
		proc.Kill(g.first)
	}
	if g.broken == "" && errors.Is(err, frame.ErrMalformed) {
		g.broken = err.Error()
	}
}

// markDead ends what is left of the group before the worker is waited for, and reports whether this
// executor had been ending it. An exit that has begun keeps its code.
func (g *processGroup) markDead() (killed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dead = true
	proc.Kill(g.first)
	return g.killing
}

// fault is how the worker broke the protocol, "" when it did not.
func (g *processGroup) fault() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.broken
}
