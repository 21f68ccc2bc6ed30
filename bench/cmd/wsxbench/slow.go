package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"
)

// What slow does.
const (
	slowOthers   = 4_900
	slowReaders  = 100
	slowSize     = 1024
	slowInterval = 50 * time.Millisecond
	slowRounds   = 3
	slowStay     = 4 * time.Second // a reader that never reads comes back this often, should it have been thrown out or not
)

// latency is what one run found.
type latency struct {
	p50, p99 time.Duration
	lost     int64
	rss      int64 // at its peak
}

// slow compares subscribers that are alone with the same ones beside readers that never read.
func slow(o *options, out io.Writer) error {
	c := ours()
	var without, with []float64
	for i := range slowRounds {
		for _, readers := range []int{0, slowReaders} {
			l, err := slowOnce(c, o, readers)
			if err != nil {
				return err
			}
			fmt.Fprintf(out, "slow, round %d: %d subscribers, %3d readers that never read: p50 %v, p99 %v, lost %d of %d, RSS at its peak %d MB\n",
				i+1, slowOthers, readers, l.p50, l.p99, l.lost, o.slowEvents*slowOthers, l.rss>>20)
			if readers == 0 {
				without = append(without, l.p99.Seconds())
			} else {
				with = append(with, l.p99.Seconds())
			}
		}
	}
	slices.Sort(without)
	slices.Sort(with)
	fmt.Fprintf(out, "slow: p99 with the slow readers is %.2f times that without (medians; aim: at most 1.2; load %s)\n", median(with)/median(without), loadavg())
	return nil
}

func slowOnce(c *contestant, o *options, readers int) (l latency, err error) {
	s, err := start(c)
	if err != nil {
		return l, err
	}
	defer func() { err = cmp.Or(err, s.stop()) }()
	f, err := newFan(c, s, slowOthers)
	if err != nil {
		return l, err
	}
	defer f.close()
	stop := make(chan struct{})
	defer close(stop)
	for range readers {
		ws, err := deafFeed(c, s.addr)
		if err != nil {
			return l, err
		}
		f.run(func() error { return stayDeaf(c, s.addr, ws, stop) })
	}

	sent := make([]atomic.Int64, o.slowEvents+1)
	took := make([][]time.Duration, slowOthers)
	began := time.Now()
	f.onEvent = func(sub int, event int64) {
		took[sub] = append(took[sub], time.Since(began)-time.Duration(sent[event].Load()))
	}
	f.listen()
	ticker := time.NewTicker(slowInterval)
	defer ticker.Stop()
	for published, done := 0, 0; done < o.slowEvents; {
		tick := ticker.C
		if published == o.slowEvents || published-done >= maxOutstanding/2 {
			tick = nil
		}
		select {
		case <-tick:
			published++
			sent[published].Store(int64(time.Since(began)))
			if err := f.send(c, slowSize); err != nil {
				return l, err
			}
		case <-f.done:
			done++
		case err := <-f.failed:
			return l, err
		case <-time.After(30 * time.Second):
			l.lost = int64(published)*slowOthers - f.count()
			return l, fmt.Errorf("%d deliveries did not come", l.lost)
		}
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
	l.rss, l.lost = usage.peak, int64(o.slowEvents*slowOthers-len(all))
	return l, nil
}

// deafFeed subscribes with as little room for what comes as the system allows.
func deafFeed(c *contestant, addr string) (*client, error) {
	ws, err := c.openFeed(addr)
	if err == nil {
		err = ws.nc.SetReadBuffer(1)
	}
	return ws, err
}

// stayDeaf never reads, and comes back when the server may have thrown it out.
func stayDeaf(c *contestant, addr string, ws *client, stop <-chan struct{}) error {
	ticker := time.NewTicker(slowStay)
	defer ticker.Stop()
	defer func() { ws.close() }()
	for {
		select {
		case <-stop:
			return nil
		case <-ticker.C:
		}
		ws.close()
		again, err := deafFeed(c, addr)
		if err != nil {
			return err
		}
		ws = again
	}
}
