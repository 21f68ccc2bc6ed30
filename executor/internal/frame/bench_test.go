package frame

import (
	"bufio"
	"os"
	"sync"
	"testing"
)

// BenchmarkWriter has 8 callers who wait for the echo of each frame before they write the next,
// over two pipes of the kernel, as the callers of one worker do. With join a Writer lets those who
// are ready to write do so first; without it every frame that finds nobody writing leaves by
// itself.
func BenchmarkWriter(b *testing.B) {
	for name, join := range map[string]bool{"join": true, "plain": false} {
		b.Run(name, func(b *testing.B) {
			const callers = 8
			var ends [4]*os.File
			for i := 0; i < len(ends); i += 2 {
				var err error
				if ends[i], ends[i+1], err = os.Pipe(); err != nil {
					b.Fatal(err)
				}
			}
			out, back := NewWriter(ends[1]), NewWriter(ends[3])
			var echo, readers sync.WaitGroup
			requests := make(chan uint64, callers)
			echo.Go(func() {
				r := bufio.NewReader(ends[0])
				for {
					_, id, _, err := Read(r, nil)
					if err != nil {
						close(requests)
						return
					}
					requests <- id
				}
			})
			for range callers { // as the functions of a worker
				echo.Go(func() {
					for id := range requests {
						_ = back.Write(New(Result, id, make([]byte, 100)), join)
					}
				})
			}
			var answers [callers]chan struct{}
			for i := range answers {
				answers[i] = make(chan struct{}, 1)
			}
			readers.Go(func() {
				r := bufio.NewReader(ends[2])
				for {
					_, id, _, err := Read(r, nil)
					if err != nil {
						return
					}
					answers[id] <- struct{}{}
				}
			})
			b.ResetTimer()
			var all sync.WaitGroup
			for id := range callers {
				all.Go(func() {
					frame := New(Call, uint64(id), make([]byte, 100))
					for range b.N / callers {
						if out.Write(frame, join) != nil {
							return
						}
						<-answers[id]
					}
				})
			}
			all.Wait()
			b.StopTimer()
			_ = ends[1].Close()
			echo.Wait()
			_ = ends[3].Close()
			readers.Wait()
			_, _ = ends[0].Close(), ends[2].Close()
		})
	}
}
