// Command tasksbench measures tasks and its stores beside the floor, each run in a process of its
// own, medians of 5 interleaved rounds: make bench-tasks.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

const (
	submitters = 16
	workers    = 16
	backlog    = 1024 // tasks that wait for a worker at most
)

// payload has 200 bytes.
var payload = `{"to":"` + strings.Repeat("x", 191) + `"}`

// contestant runs n tasks and returns how long that took in seconds, or another figure in its unit.
type contestant struct {
	name  string
	floor string // whose figure is 1.00
	unit  string
	n     int
	run   func(n int, dir string) (float64, error)
}

var contestants = []contestant{
	{"floor: append + channel", "", "/s", 1_000_000, floorMemory},
	{"tasks in memory, submit + run", "floor: append + channel", "/s", 200_000, memoryRun},
	{"floor: append + grouped fsync, submit", "", "/s", 40_000, floorSubmit},
	{
		"tasks on filestore, submit", "floor: append + grouped fsync, submit", "/s", 40_000,
		fileSubmit,
	},
	{"bbolt Batch, put", "floor: append + grouped fsync, submit", "/s", 10_000, boltPut},
	{"pebble Sync, put", "floor: append + grouped fsync, submit", "/s", 30_000, pebblePut},
	{"floor: append + grouped fsync, submit + run", "", "/s", 40_000, floorRun},
	{
		"tasks on filestore, submit + run", "floor: append + grouped fsync, submit + run", "/s",
		40_000, fileRun,
	},
	{"a finished task, without its payload", "", " B", 100_000, memoryOfFinished},
	{"alive over a million queued tasks while they are listed", "", " MB", 1_000_000, listMillion},
}

func main() {
	rounds := flag.Int("rounds", 5, "how often each is measured")
	only := flag.String("only", "", "measure those whose name contains it")
	one := flag.String("one", "", "be the process of this contestant")
	dir := flag.String("dir", "",
		"where files go; a temporary directory beside the working one when empty")
	flag.Parse()
	if *one != "" {
		for _, c := range contestants {
			if c.name == *one {
				v, err := c.run(c.n, *dir)
				exit(err)
				fmt.Println(v)
			}
		}
		return
	}
	figures := map[string][]float64{}
	for range *rounds {
		for _, c := range contestants {
			if strings.Contains(c.name, *only) {
				v, err := measure(c, *dir)
				exit(err)
				figures[c.name] = append(figures[c.name], v)
			}
		}
	}
	for _, c := range contestants {
		all := figures[c.name]
		if len(all) == 0 {
			continue
		}
		slices.Sort(all)
		median := all[len(all)/2]
		fmt.Printf("%-56s %12.0f%-3s (%.0f to %.0f)", c.name, median, c.unit, all[0],
			all[len(all)-1])
		if floor := figures[c.floor]; len(floor) > 0 {
			fmt.Printf("  %.3f of the floor", median/floor[len(floor)/2])
		}
		fmt.Println()
	}
}

// measure runs a contestant in a process and a directory of its own.
func measure(c contestant, under string) (float64, error) {
	if under == "" {
		under = "." // not /tmp, which may be no disk
	}
	dir, err := os.MkdirTemp(under, "tasksbench-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(context.Background(), self, "-one", c.name, "-dir", dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", c.name, err)
	}
	return strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "tasksbench:", err)
		os.Exit(1)
	}
}
