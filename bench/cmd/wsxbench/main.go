package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "wsxbench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1], os.Stdin, os.Stdout)
	case len(args) > 0 && args[0] == "drive":
		return drive(args[1:])
	}
	return errors.New("usage: wsxbench drive [flags] | wsxbench serve NAME")
}

// options are drive's flags.
type options struct {
	rounds     int
	window     time.Duration
	warm       time.Duration
	profiles   string
	idle       int
	fans       int
	slowEvents int
	recoveries int
}

func drive(args []string) error {
	var o options
	var only, names string
	flags := flag.NewFlagSet("drive", flag.ContinueOnError)
	flags.IntVar(&o.rounds, "rounds", 5, "rounds; the table has their medians")
	seconds := flags.Float64("seconds", 1, "length of one measurement in s")
	flags.StringVar(&only, "only", "add-16x1,add-16x32,add-256x32,fanout-1,fanout-16,idle",
		"what to measure; also: slow, recovery")
	flags.StringVar(&names, "contestants", "floor,ours,centrifuge,geth",
		"who takes part; ratios need the floor")
	flags.StringVar(&o.profiles, "profiles", "",
		"write a profile of each server in the last round to this directory: of its CPU, for "+
			"idle of its heap")
	flags.IntVar(&o.idle, "idle", 10_000, "idle connections")
	flags.IntVar(&o.fans, "subscribers", 1_000, "subscribers of fanout")
	flags.IntVar(&o.slowEvents, "slow-events", 200, "events of each run of slow, 6.7 a second")
	flags.IntVar(&o.recoveries, "recover-events", 1_000_000, "events of recovery")
	if err := flags.Parse(args); err != nil {
		return err
	}
	o.window = time.Duration(*seconds * float64(time.Second))
	o.warm = o.window / 4

	var who []*contestant
	for name := range strings.SplitSeq(names, ",") {
		c := byName(name)
		if c == nil {
			return fmt.Errorf("no contestant %q", name)
		}
		who = append(who, c)
	}
	fmt.Println("load at the start:", loadavg())
	for name := range strings.SplitSeq(only, ",") {
		if err := measureWork(name, who, &o); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	fmt.Println("load at the end:", loadavg())
	return nil
}

func measureWork(name string, who []*contestant, o *options) error {
	switch name {
	case "slow":
		return slow(o, os.Stdout)
	case "recovery":
		return recovery(o, os.Stdout)
	}
	w := workByName(name, o)
	if w == nil {
		return errors.New("no such work")
	}
	rounds, err := interleave(w, who, o)
	if err != nil {
		return err
	}
	return w.report(os.Stdout, who, rounds)
}

// loadavg tells how busy the machine is with other things.
func loadavg() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}
