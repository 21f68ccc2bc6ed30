package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble"
	"go.etcd.io/bbolt"
)

// submit calls one n times from all submitters and returns the rate.
func submit(n int, one func(i int) error) (float64, error) {
	begin := time.Now()
	err := parallel(n, one)
	return float64(n) / time.Since(begin).Seconds(), err
}

func parallel(n int, one func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, submitters)
	for s := range submitters {
		wg.Go(func() {
			for i := s; i < n && errs[s] == nil; i += submitters {
				errs[s] = one(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// run submits n tasks that workers take from a channel, and returns the rate by which they end.
func run(n int, one, end func(i int) error) (float64, error) {
	queue := make(chan int, backlog)
	var done sync.WaitGroup
	errs := make([]error, workers)
	begin := time.Now()
	for w := range workers {
		done.Go(func() {
			for i := range queue {
				if err := end(i); err != nil {
					errs[w] = err
				}
			}
		})
	}
	err := parallel(n, func(i int) error {
		err := one(i)
		queue <- i
		return err
	})
	close(queue)
	done.Wait()
	return float64(n) / time.Since(begin).Seconds(), errors.Join(err, errors.Join(errs...))
}

// floorMemory acknowledges what is written and not synced, which survives the process and not the
// machine.
func floorMemory(n int, dir string) (float64, error) {
	b := []byte(payload)
	g, err := newGrouped(dir, n*len(b), false)
	if err != nil {
		return 0, err
	}
	return run(n, func(int) error { return g.append(b) }, func(int) error { return nil })
}

// grouped appends to a file of zeros, as filestore does, in one write for all that wait, and one
// sync where it syncs.
type grouped struct {
	f    *os.File
	sync bool
	mu   sync.Mutex
	buf  []byte
	next *group
	kick chan struct{}
}

type group struct {
	done chan struct{}
	err  error
}

// newGrouped makes a log with room for size bytes.
func newGrouped(dir string, size int, sync bool) (*grouped, error) {
	f, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(make([]byte, size)); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	g := &grouped{
		f: f, sync: sync, kick: make(chan struct{}, 1),
		next: &group{done: make(chan struct{})},
	}
	go g.loop()
	return g, nil
}

func (g *grouped) loop() {
	var spare []byte
	for range g.kick {
		b, of := g.take(spare)
		if len(b) > 0 {
			if _, of.err = g.f.Write(b); of.err == nil && g.sync {
				of.err = syscall.Fdatasync(int(g.f.Fd()))
			}
		}
		close(of.done)
		spare = b
	}
}

// take is the next group. It first lets those run that the last one has woken, as long as they
// bring more: none of them needs a write of its own.
func (g *grouped) take(spare []byte) ([]byte, *group) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, before := 0, 0; i < 16 && len(g.buf) != before; i++ {
		before = len(g.buf)
		g.mu.Unlock()
		runtime.Gosched()
		g.mu.Lock()
	}
	b, of := g.buf, g.next
	g.buf, g.next = spare[:0], &group{done: make(chan struct{})}
	return b, of
}

func (g *grouped) append(b []byte) error {
	g.mu.Lock()
	g.buf = append(g.buf, b...)
	of := g.next
	g.mu.Unlock()
	select {
	case g.kick <- struct{}{}:
	default:
	}
	<-of.done
	return of.err
}

func floorSubmit(n int, dir string) (float64, error) {
	b := []byte(payload)
	g, err := newGrouped(dir, n*len(b), true)
	if err != nil {
		return 0, err
	}
	return submit(n, func(int) error { return g.append(b) })
}

func floorRun(n int, dir string) (float64, error) {
	b, ended := []byte(payload), make([]byte, 16)
	g, err := newGrouped(dir, n*(len(b)+len(ended)), true)
	if err != nil {
		return 0, err
	}
	return run(n, func(int) error { return g.append(b) },
		func(int) error { return g.append(ended) })
}

func boltPut(n int, dir string) (float64, error) {
	db, err := bbolt.Open(filepath.Join(dir, "db"), 0o600, nil)
	if err != nil {
		return 0, err
	}
	bucket := []byte("tasks")
	if err := db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	}); err != nil {
		return 0, err
	}
	db.MaxBatchSize, db.MaxBatchDelay = submitters, time.Millisecond
	return submit(n, func(i int) error {
		return db.Batch(func(tx *bbolt.Tx) error {
			return tx.Bucket(bucket).Put(key(i), []byte(payload))
		})
	})
}

func pebblePut(n int, dir string) (float64, error) {
	db, err := pebble.Open(dir, &pebble.Options{Logger: quiet{}})
	if err != nil {
		return 0, err
	}
	return submit(n, func(i int) error { return db.Set(key(i), []byte(payload), pebble.Sync) })
}

func key(i int) []byte {
	return []byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}
}

type quiet struct{}

func (quiet) Infof(string, ...any)  {}
func (quiet) Errorf(string, ...any) {}
func (quiet) Fatalf(string, ...any) {}
