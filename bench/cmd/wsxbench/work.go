package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// work is a line of the table.
type work struct {
	name    string
	aim     string
	unit    string
	measure func(c *contestant, s *child, o *options, profile string) (result, error)
}

// result is what one measurement found.
type result struct {
	rate   float64 // operations a second; bytes a connection for idle
	cpu    float64 // of the server, seconds an operation
	allocs float64 // in the server, an operation
	driver float64 // CPU of the driver, seconds an operation
}

func workByName(name string, o *options) *work {
	switch name {
	case "add-16x1":
		return &work{
			name: name, unit: "calls/s", aim: "0.90, CPU at most 1.20",
			measure: calls(16, 1),
		}
	case "add-16x32":
		return &work{
			name: name, unit: "calls/s", aim: "1.50, CPU at most 0.65; 6 allocations",
			measure: calls(16, 32),
		}
	case "add-256x32":
		return &work{
			name: name, unit: "calls/s", aim: "1.40, CPU at most 0.70",
			measure: calls(256, 32),
		}
	case "fanout-1":
		return &work{
			name: name, unit: "deliveries/s", aim: "0.95, CPU at most 1.15",
			measure: fanout(o.fans, 1),
		}
	case "fanout-16":
		return &work{
			name: name, unit: "deliveries/s", aim: "5.0, CPU at most 0.25",
			measure: fanout(o.fans, 16),
		}
	case "idle":
		return &work{name: name, unit: "bytes/connection", aim: "8 KB", measure: idle}
	}
	return nil
}

// interleave measures every contestant in every round, each in a fresh process. The result is
// [round][contestant].
func interleave(w *work, who []*contestant, o *options) ([][]result, error) {
	rounds := make([][]result, o.rounds)
	for i := range rounds {
		rounds[i] = make([]result, len(who))
		for j := range who {
			j := (i + j) % len(who)
			profile := ""
			if o.profiles != "" && i == o.rounds-1 {
				profile = filepath.Join(o.profiles, w.name+"-"+who[j].name+".pprof")
			}
			r, err := once(w, who[j], o, profile)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", who[j].name, err)
			}
			rounds[i][j] = r
		}
	}
	return rounds, nil
}

// patience is how long something may take to be done at all.
const patience = 10 * time.Second

func once(w *work, c *contestant, o *options, profile string) (r result, err error) {
	s, err := start(c)
	if err != nil {
		return r, err
	}
	defer func() { err = cmp.Or(err, s.stop()) }()
	return w.measure(c, s, o, profile)
}

// window measures what counter counts while it lasts, after a warm-up. It returns early when failed
// does.
func window(s *child, o *options, profile string, failed <-chan error,
	counter func() int64,
) (r result, err error) {
	wait := func(d time.Duration) error {
		select {
		case err := <-failed:
			return err
		case <-time.After(d):
			return nil
		}
	}
	if err := wait(o.warm); err != nil {
		return r, err
	}
	if profile != "" {
		if _, err := s.ask("profile " + profile); err != nil {
			return r, err
		}
	}
	server, err := s.ask("stats")
	if err != nil {
		return r, err
	}
	driver, began, count := ownUsage(), time.Now(), counter()
	if err := wait(o.window); err != nil {
		return r, err
	}
	for counter() == count && time.Since(began) < patience { // a short window on a busy machine
		if err := wait(o.window); err != nil {
			return r, err
		}
	}
	took, ops := time.Since(began), float64(counter()-count)
	server2, err := s.ask("stats")
	if err != nil {
		return r, err
	}
	driver2 := ownUsage()
	if ops == 0 {
		return r, fmt.Errorf("nothing was done in %v", took)
	}
	return result{
		rate:   ops / took.Seconds(),
		cpu:    (server2.cpu - server.cpu).Seconds() / ops,
		allocs: float64(server2.mallocs-server.mallocs) / ops,
		driver: (driver2.cpu - driver.cpu).Seconds() / ops,
	}, nil
}

// report prints the medians.
func (w *work) report(out io.Writer, who []*contestant, rounds [][]result) error {
	base := slices.IndexFunc(who, func(c *contestant) bool { return c.name == "floor" })
	fmt.Fprintf(out, "\n%s   (aim: %s; load %s)\n", w.name, w.aim, loadavg())
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	if w.name == "idle" {
		fmt.Fprintf(t, "\t%s\tto floor\t\n", w.unit)
	} else {
		fmt.Fprintf(t, "\t%s\tto floor\tmin\tmax\tCPU µs\tto floor\tallocs\tdriver µs\t\n", w.unit)
	}
	for i, c := range who {
		column := func(f func(r, floor result) float64) []float64 {
			var all []float64
			for _, round := range rounds {
				floor := result{}
				if base >= 0 {
					floor = round[base]
				}
				all = append(all, f(round[i], floor))
			}
			slices.Sort(all)
			return all
		}
		rate := median(column(func(r, _ result) float64 { return r.rate }))
		ratios := column(func(r, f result) float64 { return r.rate / f.rate })
		if w.name == "idle" {
			fmt.Fprintf(t, "%s\t%.0f\t%.2f\t\n", c.name, rate, median(ratios))
			continue
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t\n", c.name, rate,
			median(ratios), ratios[0], ratios[len(ratios)-1],
			1e6*median(column(func(r, _ result) float64 { return r.cpu })),
			median(column(func(r, f result) float64 { return r.cpu / f.cpu })),
			median(column(func(r, _ result) float64 { return r.allocs })),
			1e6*median(column(func(r, _ result) float64 { return r.driver })))
	}
	return t.Flush()
}

// median is of what is sorted.
func median(sorted []float64) float64 {
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
