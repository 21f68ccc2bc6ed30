//go:build linux

package executor_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/executor"
)

// busy computes for about a millisecond and answers with what it was given.
var busy = executor.NewFunc("busy", func(_ context.Context, in [2]int) ([2]int, error) {
	for begun := time.Now(); time.Since(begun) < time.Duration(in[1])*time.Microsecond; {
	}
	return [2]int{in[0], os.Getpid()}, nil
})

// TestChaos_KilledWorkers kills workers at random under load: EXECUTOR_KILLS of them, 50 unless it
// says otherwise. Every call must end once, with its own answer or with a crash, and the pool must
// be whole afterwards. With EXECUTOR_KILLS set the delay from a kill to the error of the call must
// be at most 50 ms, beyond what this process was itself held up meanwhile by a machine with too
// much to do.
func TestChaos_KilledWorkers(t *testing.T) {
	kills, strict := 50, false
	if s := os.Getenv("EXECUTOR_KILLS"); s != "" {
		kills, strict = mustInt(t, s), true
	}
	ex := start(t, &executor.Options{Workers: 2, Spares: 2})
	var pids sync.Map // of live workers, to choose from
	var killedAt sync.Map
	var calls, crashes atomic.Int64
	var mu sync.Mutex
	var delays []time.Duration
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for c := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := c<<32 | n
				out, err := busy.Run(t.Context(), ex, [2]int{id, rand.IntN(1500)})
				now := time.Now()
				calls.Add(1)
				var crash *executor.CrashError
				switch {
				case err == nil && out[0] == id:
					pids.Store(out[1], true)
				case errors.As(err, &crash) && crash.Kind == executor.CrashSignal &&
					crash.Signal == "SIGKILL":
					crashes.Add(1)
					at, ok := killedAt.Load(crash.PID)
					if !ok {
						t.Errorf("worker %d died, but nobody killed it", crash.PID)
						continue
					}
					mu.Lock()
					delays = append(delays, now.Sub(at.(time.Time)))
					mu.Unlock()
				default:
					t.Errorf("call %d: %v, %v", id, out, err)
				}
			}
		})
	}
	var stall time.Duration // the worst delay of a timer
	wg.Go(func() {
		for ctx.Err() == nil {
			begun := time.Now()
			<-time.After(time.Millisecond)
			stall = max(stall, time.Since(begun)-time.Millisecond)
		}
	})
	for done := 0; done < kills; {
		pids.Range(func(key, _ any) bool {
			if rand.IntN(4) == 0 {
				return true
			}
			<-time.After(time.Duration(rand.IntN(2000)) * time.Microsecond)
			worker := key.(int)
			pids.Delete(worker)
			if _, twice := killedAt.Load(worker); twice {
				return true
			}
			killedAt.Store(worker, time.Now())
			if syscall.Kill(worker, syscall.SIGKILL) == nil {
				done++
			}
			return done < kills
		})
		<-time.After(100 * time.Microsecond)
	}
	cancel()
	wg.Wait()
	eventually(t, "a whole pool", func() bool { return ex.Stats().Process.Workers == 4 })
	s := ex.Stats().Process
	if s.Queued != 0 || s.Running != 0 || int64(s.Done+s.Failed) != calls.Load() ||
		int64(s.Failed) != crashes.Load() || s.Restarts < uint64(kills) {
		t.Errorf("%d calls, %d crashes: %+v", calls.Load(), crashes.Load(), s)
	}
	slices.Sort(delays)
	if len(delays) == 0 {
		t.Fatal("no kill hit a call: this proves nothing")
	}
	worst := delays[len(delays)-1]
	t.Logf(
		"%d kills, %d calls, %d crashed; from kill to error p50 %v p99 %v max %v; %d restarts; a "+
			"timer of this process was late by up to %v", kills, calls.Load(), crashes.Load(),
		delays[len(delays)/2], delays[len(delays)*99/100], worst, s.Restarts, stall)
	if strict && worst > 50*time.Millisecond+stall {
		t.Errorf("an error came %v after its kill", worst)
	}
}

func mustInt(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
