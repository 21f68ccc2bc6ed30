package main

import (
	"sync"
	"sync/atomic"
)

// group is connections and the goroutines that use them.
type group struct {
	conns   []*client
	failed  chan error // the first failure
	closing atomic.Bool
	wg      sync.WaitGroup
}

func newGroup(conns int) *group {
	return &group{conns: make([]*client, 0, conns), failed: make(chan error, 1)}
}

// run starts a goroutine. What goes wrong after close is no failure.
func (g *group) run(f func() error) {
	g.wg.Go(func() {
		if err := f(); err != nil && !g.closing.Load() {
			select {
			case g.failed <- err:
			default:
			}
		}
	})
}

// open makes n connections, a few at a time.
func (g *group) open(n int, dial func() (*client, error)) error {
	conns := make([]*client, n)
	errs := make(chan error, 8)
	var next atomic.Int64
	for range cap(errs) {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					errs <- nil
					return
				}
				var err error
				if conns[i], err = dial(); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	var err error
	for range cap(errs) {
		if e := <-errs; e != nil {
			err = e
		}
	}
	for _, c := range conns {
		if c != nil {
			g.conns = append(g.conns, c)
		}
	}
	return err
}

// close ends the connections and waits for the goroutines.
func (g *group) close() {
	g.closing.Store(true)
	for _, c := range g.conns {
		c.close()
	}
	g.wg.Wait()
}

// await returns when so many have come, or one of the group has failed.
func (g *group) await(came <-chan struct{}, n int) error {
	for range n {
		select {
		case <-came:
		case err := <-g.failed:
			return err
		}
	}
	return nil
}
