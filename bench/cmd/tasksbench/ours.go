package main

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/filestore"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

type input struct {
	To string `json:"to"`
}

// manage submits n tasks to a manager and, when it runs them, waits until the store says that all
// have succeeded. No more of them wait at once than in the floor's channel.
func manage(n int, store tasks.Store, runs bool) (float64, error) {
	ctx := context.Background()
	q := tasks.QueueOptions{Concurrency: workers, MaxWaiting: -1}
	m := tasks.New(store, &tasks.Options{
		Queues: map[string]tasks.QueueOptions{"default": q},
	})
	waiting := make(chan struct{}, backlog)
	tasks.Register(m, "send", 1,
		func(context.Context, input) (struct{}, error) { <-waiting; return struct{}{}, nil }, nil)
	if runs {
		if err := m.Start(ctx); err != nil {
			return 0, err
		}
	}
	raw := jsontext.Value(payload)
	begin := time.Now()
	rate, err := submit(n, func(int) error {
		if runs {
			waiting <- struct{}{}
		}
		_, err := m.Submit(ctx, "send", raw, nil)
		return err
	})
	if err != nil || !runs {
		return rate, err
	}
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		counts, err := store.Counts(ctx)
		if err != nil {
			return 0, err
		}
		if counts["default"][tasks.Succeeded] == n {
			break
		}
	}
	rate = float64(n) / time.Since(begin).Seconds()
	return rate, m.Stop(ctx)
}

func memoryRun(n int, _ string) (float64, error) { return manage(n, memstore.New(), true) }

func fileSubmit(n int, dir string) (float64, error) { return onFile(n, dir, false) }
func fileRun(n int, dir string) (float64, error)    { return onFile(n, dir, true) }

func onFile(n int, dir string, runs bool) (float64, error) {
	store, err := filestore.Open(filepath.Join(dir, "store"), nil)
	if err != nil {
		return 0, err
	}
	rate, err := manage(n, store, runs)
	if err != nil {
		return 0, err
	}
	return rate, store.Stop(context.Background())
}

// memoryOfFinished is what a task that is done takes, less its payload.
func memoryOfFinished(n int, _ string) (float64, error) {
	store := memstore.New()
	before := heap()
	if _, err := manage(n, store, true); err != nil {
		return 0, err
	}
	took := heap() - before
	runtime.KeepAlive(store)
	return float64(took)/float64(n) - float64(len(payload)), nil
}

// listMillion is by how much what is alive on the heap grows at most while n tasks are listed by
// pages of 1,000, looked at every 50 pages.
func listMillion(n int, _ string) (float64, error) {
	ctx := context.Background()
	store := memstore.New()
	now := time.Now()
	for i := range n {
		t := &tasks.Task{
			ID: strconv.Itoa(i), Kind: "send", Version: 1, Queue: "default",
			State: tasks.Queued, Created: now, RunAt: now, Payload: []byte(payload),
		}
		if _, err := store.Add(ctx, t, now, 0); err != nil {
			return 0, err
		}
	}
	before, most, seen := heap(), uint64(0), 0
	f := tasks.Filter{Limit: 1000}
	for pages := 1; ; pages++ {
		page, next, err := store.List(ctx, &f)
		if err != nil {
			return 0, err
		}
		if pages%50 == 0 {
			most = max(most, heap())
		}
		seen += len(page)
		runtime.KeepAlive(page)
		if f.Cursor = next; next == "" {
			break
		}
	}
	if seen != n {
		return 0, fmt.Errorf("%d of %d were listed", seen, n)
	}
	return float64(most-min(before, most)) / (1 << 20), nil
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
