package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// What slow does.
const (
	slowOthers  = 4_900
	slowReaders = 100
	slowSize    = 4096
	// some 33,000 deliveries a second: well below what two cores can do
	slowInterval = 150 * time.Millisecond
	// a reader that never reads comes back after this long; it is stuck after about 7 s, thrown out
	// 5 s later
	slowStay = 15 * time.Second
)

// latency is what one run found.
type latency struct {
	p50, p99 time.Duration
	lost     int64
	thrown   int64 // readers that the server had thrown out when they came back
	rss      int64 // at its peak
}

// slow compares subscribers that are alone with the same ones beside readers that never read, in
// pairs of runs one after the other: the machine's speed drifts less within a pair than from first
// to last.
func slow(o *options, out io.Writer) error {
	c := ours()
	var ratios, without, with, rssWithout, rssWith []float64
	for i := range o.rounds {
		var pair [2]latency
		for j := range pair {
			j := (i + j) % len(pair) // with and without take turns in going first
			readers := j * slowReaders
			l, err := slowOnce(c, o, slowOthers, readers)
			if err != nil {
				return err
			}
			fmt.Fprintf(out,
				"slow, round %d: %d subscribers, %3d readers that never read: p50 %v, p99 %v, "+
					"lost %d of %d, thrown out %d, RSS at its peak %d MB\n",
				i+1, slowOthers, readers, l.p50.Round(time.Microsecond),
				l.p99.Round(time.Microsecond), l.lost, o.slowEvents*slowOthers, l.thrown, l.rss>>20)
			pair[j] = l
		}
		ratios = append(ratios, pair[1].p99.Seconds()/pair[0].p99.Seconds())
		without, with = append(without, 1e3*pair[0].p99.Seconds()), append(with,
			1e3*pair[1].p99.Seconds())
		rssWithout, rssWith = append(rssWithout, float64(pair[0].rss>>20)), append(rssWith,
			float64(pair[1].rss>>20))
	}
	for _, all := range [][]float64{ratios, without, with, rssWithout, rssWith} {
		slices.Sort(all)
	}
	fmt.Fprintf(out,
		"slow: medians of %d pairs: p99 %.1f ms with the slow readers, %.1f ms without; "+
			"with/without %.2f (%.2f to %.2f; aim: at most 1.2); "+
			"RSS at its peak %.0f MB with, %.0f MB without; load %s\n", o.rounds, median(with),
		median(without), median(ratios), ratios[0], ratios[len(ratios)-1],
		median(rssWith), median(rssWithout), loadavg())
	return nil
}

func slowOnce(c *contestant, o *options, others, readers int) (l latency, err error) {
	s, err := start(c)
	if err != nil {
		return l, err
	}
	defer func() { err = cmp.Or(err, s.stop()) }()
	f, err := newFan(c, s, others)
	if err != nil {
		return l, err
	}
	defer f.close()
	stop := make(chan struct{})
	defer close(stop)
	var thrown atomic.Int64
	for i := range readers {
		ws, err := unreadFeed(c, s.addr)
		if err != nil {
			return l, err
		}
		f.run(func() error {
			return neverRead(c, s.addr, ws, &thrown,
				slowStay*time.Duration(readers+i)/time.Duration(readers), stop)
		})
	}

	sent := make([]atomic.Int64, o.slowEvents+1)
	took := make([][]time.Duration, others)
	began := time.Now()
	f.onEvent = func(sub int, event int64) {
		took[sub] = append(took[sub], time.Since(began)-time.Duration(sent[event].Load()))
	}
	f.listen()
	if l.lost, err = publishSlowly(c, f, o.slowEvents, func(event int) {
		sent[event].Store(int64(time.Since(began)))
	}); err != nil {
		return l, err
	}
	usage, err := s.ask("stats")
	if err != nil {
		return l, err
	}
	var all []time.Duration
	for _, t := range took {
		all = append(all, t...)
	}
	slices.Sort(all)
	l.p50, l.p99 = all[len(all)/2], all[len(all)*99/100]
	l.thrown = thrown.Load()
	l.rss, l.lost = usage.peak, int64(o.slowEvents*others-len(all))
	return l, nil
}

// publishSlowly publishes at a steady pace and returns when all is delivered, or with how many
// deliveries did not come.
func publishSlowly(c *contestant, f *fan, events int, sending func(event int)) (int64, error) {
	ticker := time.NewTicker(slowInterval)
	defer ticker.Stop()
	for published, done := 0, 0; done < events; {
		tick := ticker.C
		if published == events || published-done >= maxOutstanding/2 {
			tick = nil
		}
		select {
		case <-tick:
			published++
			sending(published)
			if err := f.send(c, slowSize); err != nil {
				return 0, err
			}
		case <-f.done:
			done++
		case err := <-f.failed:
			return 0, err
		case <-time.After(30 * time.Second):
			lost := int64(published*slowOthers) - f.count()
			return lost, fmt.Errorf("%d deliveries did not come", lost)
		}
	}
	return 0, nil
}

// unreadFeed subscribes with as little room for what comes as the system allows.
func unreadFeed(c *contestant, addr string) (*client, error) {
	ws, err := c.openFeed(addr)
	if err == nil {
		err = ws.nc.SetReadBuffer(1)
	}
	return ws, err
}

// ended reports whether the server has closed the connection. It reads what there is, and so is the
// end of it.
func (c *client) ended() bool {
	if c.nc.SetReadBuffer(1<<20) != nil ||
		c.nc.SetReadDeadline(time.Now().Add(5*time.Second)) != nil {
		return true
	}
	_, err := io.Copy(io.Discard, c.nc)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// neverRead never reads, and comes back when the server may have thrown it out: at first after a
// time of its own, so that some are stuck at any time.
func neverRead(c *contestant, addr string, ws *client, thrown *atomic.Int64, first time.Duration,
	stop <-chan struct{},
) error {
	ticker := time.NewTicker(first)
	defer ticker.Stop()
	defer func() { ws.close() }()
	for {
		select {
		case <-stop:
			return nil
		case <-ticker.C:
		}
		ticker.Reset(slowStay)
		if ws.ended() {
			thrown.Add(1)
		}
		ws.close()
		again, err := unreadFeed(c, addr)
		if err != nil {
			return err
		}
		ws = again
	}
}
