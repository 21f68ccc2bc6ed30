// Command executor measures package executor beside its peers and the physical floor, in
// interleaved rounds of one run:
//
//	make bench-executor
//
// Each line is the median over the rounds of the time for one call, and of the ratio to the floor
// in the same round.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/genropy/genro-asgi-go/executor"
)

// contender is one way to do the work of a group; the first of a group is its floor.
type contender struct {
	name string
	n    int                          // calls a round
	run  func(n int) (allocs float64) // does n calls; allocations a call, or below 0 if not counted
}

type group struct {
	name       string
	contenders []contender
}

func main() {
	if os.Getenv(rawRole) != "" {
		rawEcho()
	}
	servePlugin()
	executor.Main()
	rounds := flag.Int("rounds", 15, "interleaved rounds")
	peers := flag.Bool("plugin", true, "measure go-plugin too")
	only := flag.String("only", "", "measure only groups whose name contains this")
	flag.Parse()
	fmt.Printf("%s %s/%s, %d processors\n", runtime.Version(), runtime.GOOS, runtime.GOARCH,
		runtime.NumCPU())
	groups, closeBlocking := blockingGroups()
	one, many, closeProcess := processGroups(*peers)
	for _, g := range append(groups, one, many) {
		if strings.Contains(g.name, *only) {
			measure(g, *rounds)
		}
	}
	closeProcess()
	closeBlocking()
	if *only == "" {
		spawn()
	}
}

func measure(g group, rounds int) {
	times := make([][]float64, len(g.contenders))
	ratios := make([][]float64, len(g.contenders))
	allocs := make([]float64, len(g.contenders))
	for i, c := range g.contenders { // warm
		c.run(c.n / 10)
		times[i], ratios[i] = nil, nil
	}
	for range rounds {
		var floor float64
		for i, c := range g.contenders {
			begun := time.Now()
			allocs[i] = c.run(c.n)
			ns := float64(time.Since(begun).Nanoseconds()) / float64(c.n)
			if i == 0 {
				floor = ns
			}
			times[i], ratios[i] = append(times[i], ns), append(ratios[i], ns/floor)
		}
	}
	fmt.Printf("\n%-44s %12s %8s %9s %10s\n", g.name, "ns/call", "times", "of floor", "allocs")
	for i, c := range g.contenders {
		ratio := median(ratios[i])
		count := ""
		if allocs[i] >= 0 {
			count = fmt.Sprintf("%.2f", allocs[i])
		}
		fmt.Printf("  %-42s %12.0f %8.2f %9.2f %10s\n", c.name, median(times[i]), ratio, 1/ratio,
			count)
	}
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}

// counting gives the allocations of this process a call.
func counting(n int, run func()) float64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(n)
}

// spawn builds the two small programs and runs the one that measures both.
func spawn() {
	dir, err := os.MkdirTemp("", "bench-executor-")
	check(err)
	defer os.RemoveAll(dir)
	for _, name := range []string{"empty", "spawn"} {
		build := exec.CommandContext(context.Background(), "go", "build", "-o",
			filepath.Join(dir, name), "./executor/cmd/"+name)
		build.Stderr = os.Stderr
		check(build.Run())
	}
	out, err := exec.CommandContext(context.Background(), filepath.Join(dir, "spawn"),
		filepath.Join(dir, "empty")).Output()
	check(err)
	var empty, first, ratio []float64
	for line := range strings.Lines(string(out)) {
		var e, f float64
		_, err := fmt.Sscan(line, &e, &f)
		check(err)
		empty, first, ratio = append(empty, e), append(first, f), append(ratio, f/e)
	}
	fmt.Printf("\n%-44s %12s %8s\n", "start of a process", "µs", "times")
	fmt.Printf("  %-42s %12.0f %8.2f\n", "an empty Go program, start to end", median(empty)/1e3,
		1.0)
	fmt.Printf("  %-42s %12.0f %8.2f\n", "executor, Start to the first answer", median(first)/1e3,
		median(ratio))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
