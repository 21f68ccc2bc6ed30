//go:build linux

package executor_test

import (
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/genropy/genro-asgi-go/executor"
)

// rawEcho is the floor: a process that writes back what it reads, with nothing between it and the
// kernel.
func rawEcho() {
	buf := make([]byte, 64<<10)
	for {
		n, err := syscall.Read(3, buf)
		if n <= 0 || err != nil {
			os.Exit(0)
		}
		if _, err := syscall.Write(4, buf[:n]); err != nil {
			os.Exit(0)
		}
	}
}

func startRawEcho(b *testing.B) (in, out *os.File) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), "/proc/self/exe")
	cmd.Env = []string{role + "=raw echo", "GOMAXPROCS=1"}
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	_, _ = theirIn.Close(), theirOut.Close()
	for _, f := range []*os.File{in, out} {
		_ = syscall.SetNonblock(int(f.Fd()), false)
	}
	b.Cleanup(func() {
		_, _ = in.Close(), out.Close()
		_ = cmd.Wait()
	})
	return in, out
}

// BenchmarkFunc_Run has a context that can end, as that of a request, and the default options
// first. "no calls ahead" is the plain version of calls that wait in the pipe of a worker, which
// RecycleCalls excludes; "two calls a worker" that of a worker whose goroutine blocks in read.
func BenchmarkFunc_Run(b *testing.B) {
	b.Run("raw pipe", func(b *testing.B) {
		in, out := startRawEcho(b)
		frame := make([]byte, 100)
		for b.Loop() {
			if _, err := in.Write(frame); err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(out, frame); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, callers := range []int{1, 32} {
		for _, of := range []struct {
			name string
			opts executor.Options
		}{
			{"default options", executor.Options{}},
			{"one worker", executor.Options{Workers: 1, Spares: -1}},
			{"no calls ahead", executor.Options{RecycleCalls: math.MaxInt}},
			{"two calls a worker", executor.Options{Workers: 1, Spares: -1, CallsPerWorker: 2}},
			{"CallsPerWorker 32", executor.Options{Workers: 1, Spares: -1, CallsPerWorker: 32}},
		} {
			b.Run(fmt.Sprintf("%s/callers=%d", of.name, callers), func(b *testing.B) {
				ex := start(b, &of.opts)
				b.ReportAllocs()
				if callers == 1 {
					for b.Loop() {
						if _, err := echo.Run(b.Context(), ex, sample); err != nil {
							b.Fatal(err)
						}
					}
					return
				}
				b.SetParallelism(callers / runtime.GOMAXPROCS(0))
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if _, err := echo.Run(b.Context(), ex, sample); err != nil {
							b.Error(err)
						}
					}
				})
			})
		}
	}
}
