package memstore_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// TestStore_ASlowWatcherHoldsUpNoReader has a watcher that does not return. Readers go on, and
// writers; in the end every change is told of, in order.
func TestStore_ASlowWatcherHoldsUpNoReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		gate := make(chan struct{})
		var told []string
		stop, err := s.Watch(func(task *tasks.Task) {
			<-gate
			told = append(told, task.ID)
		})
		if err != nil {
			t.Fatal(err)
		}
		add := func(i int) {
			if _, err := s.Add(t.Context(), newTask(strconv.Itoa(i), ""), t0, 0); err != nil {
				t.Error(err)
			}
		}
		first := make(chan struct{})
		go func() {
			defer close(first)
			add(0)
		}()
		synctest.Wait() // it tells
		const more = 1000
		for i := range more {
			add(1 + i)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if _, err := s.Get(ctx, "0"); err != nil {
			t.Error(err)
		}
		if page, _, err := s.List(ctx, nil); err != nil || len(page) != 100 {
			t.Error(len(page), err)
		}
		if counts, err := s.Counts(ctx); err != nil || counts["default"][tasks.Queued] != 1+more {
			t.Error(counts, err)
		}
		if _, err := s.Expired(ctx, t0, 1); err != nil {
			t.Error(err)
		}
		close(gate)
		<-first
		stop()
		add(-1)
		if len(told) != 1+more {
			t.Fatalf("told of %d changes of %d", len(told), 1+more)
		}
		for i, id := range told {
			if id != strconv.Itoa(i) {
				t.Fatalf("place %d is %s", i, id)
			}
		}
	})
}

// More changes than may wait for a watcher wait for it, and none is lost.
func TestStore_WatchersAreToldOfAll(t *testing.T) {
	s := memstore.New()
	const writers, each = 8, 3000
	last, n := map[string]int{}, 0
	for w := range writers {
		last[strconv.Itoa(w)] = 10_000 * w
	}
	stop, err := s.Watch(func(task *tasks.Task) {
		i, err := strconv.Atoi(task.ID)
		if err != nil || i != last[task.Key]+1 {
			t.Errorf("%s of %s after %d", task.ID, task.Key, last[task.Key])
		}
		last[task.Key] = i
		if n++; n%1000 == 0 {
			runtime.Gosched()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	for w := range writers {
		work.Go(func() {
			for i := range each {
				task := newTask(strconv.Itoa(10_000*w+i+1), strconv.Itoa(w))
				if _, err := s.Add(context.Background(), task, t0, 0); err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	stop()
	if n != writers*each {
		t.Errorf("told of %d changes of %d", n, writers*each)
	}
}
