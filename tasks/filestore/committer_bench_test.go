package filestore

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/genropy/genro-asgi-go/tasks"
)

// BenchmarkCommitter_Yields adds tasks with 200-byte payloads by 8 submitters a CPU: with a
// committer that writes at once, and with one that lets others run first, as the store's does.
func BenchmarkCommitter_Yields(b *testing.B) {
	payload := []byte(`"` + strings.Repeat("x", 198) + `"`)
	for _, yields := range []int{0, defaultYields} {
		b.Run(fmt.Sprint(yields), func(b *testing.B) {
			dir, err := openDirectory(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			s := newStore(dir, Options{SegmentSize: defaultSegment}, syncData)
			s.log.yields = yields
			if err := s.recover(); err != nil {
				b.Fatal(err)
			}
			var n atomic.Int64
			b.SetParallelism(8)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					t := &tasks.Task{
						ID: strconv.FormatInt(n.Add(1), 10), Kind: "k", Version: 1, Queue: "q",
						State: tasks.Queued, Created: noon, RunAt: noon, Payload: payload,
					}
					if _, err := s.Add(b.Context(), t, noon, 0); err != nil {
						b.Error(err)
						return
					}
				}
			})
			s.mu.Lock()
			frames := s.log.frame
			s.mu.Unlock()
			b.ReportMetric(float64(frames)/float64(b.N), "syncs/op")
			if err := s.Stop(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
