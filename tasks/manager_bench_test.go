package tasks_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

// BenchmarkSubmitAndRun is 16 submitters and 16 workers with a payload of 200 bytes, in memory; the
// baseline is JSON through a channel between as many goroutines, which keeps nothing: no state, no
// result, no cancel.
func BenchmarkSubmitAndRun(b *testing.B) {
	payload := strings.Repeat("x", 198)
	b.Run("channel", func(b *testing.B) {
		b.ReportAllocs()
		c := make(chan []byte, 1024)
		var workers, submitters sync.WaitGroup
		for range 16 {
			workers.Go(func() {
				for raw := range c {
					var in string
					if err := json.Unmarshal(raw, &in); err != nil {
						b.Error(err)
					}
				}
			})
			submitters.Go(func() {
				for range b.N / 16 {
					raw, err := json.Marshal(payload)
					if err != nil {
						b.Error(err)
					}
					c <- raw
				}
			})
		}
		submitters.Wait()
		close(c)
		workers.Wait()
	})
	b.Run("manager", func(b *testing.B) {
		b.ReportAllocs()
		m := tasks.New(
			memstore.New(), &tasks.Options{
				Queues: map[string]tasks.QueueOptions{
					"default": {Concurrency: 16, MaxWaiting: -1},
				},
			})
		var ran, submitters sync.WaitGroup
		k := tasks.Register(m, "bench", 1, func(context.Context, string) (struct{}, error) {
			ran.Done()
			return struct{}{}, nil
		}, nil)
		start(b, m)
		b.ResetTimer()
		ran.Add(b.N / 16 * 16)
		for range 16 {
			submitters.Go(func() {
				for range b.N / 16 {
					if _, err := k.Submit(b.Context(), payload, nil); err != nil {
						b.Error(err)
					}
				}
			})
		}
		submitters.Wait()
		ran.Wait()
	})
}
