package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// What recovery does.
const (
	recoverers   = 4
	recoverEvery = 1_000 // events between two disconnects, on average
	// the publisher waits for the last reader when it is so far ahead: half of the history
	recoverAhead   = 5_000
	recoverWindow  = 32 // publishes outstanding
	recoverPayload = 100
)

// places is which event is where: the same for all readers. An event's place need not be its
// number, because the server may run publishes that are outstanding together in any order.
type places []atomic.Int32

// put reports whether that event may be there.
func (p places) put(offset, event int64) bool {
	if offset < 1 || offset >= int64(len(p)) || event < 1 || event >= int64(len(p)) {
		return false
	}
	return p[offset].CompareAndSwap(0, int32(event)) || p[offset].Load() == int32(event)
}

// check sees that no event is in two places.
func (p places) check() error {
	seen := make([]bool, len(p))
	for i := range p {
		if event := p[i].Load(); event > 0 {
			if seen[event] {
				return fmt.Errorf("event %d has two offsets", event)
			}
			seen[event] = true
		}
	}
	return nil
}

// recoverer is a client that drops its connection again and again.
type recoverer struct {
	last  atomic.Int64 // offset
	epoch string
	rng   *rand.Rand
	where places

	drops, thrown    int // connections dropped; connections that the server closed
	gaps, duplicates int64
	refused, skipped int64 // recovered:false, and events passed over by it
}

// recovery reads a channel to the end through many connections and counts what was lost and what
// came twice.
func recovery(o *options, out io.Writer) (err error) {
	c := ours()
	s, err := start(c)
	if err != nil {
		return err
	}
	g, stop := newGroup(1), make(chan struct{})
	defer g.close()
	// which ends the connections of those who still read
	defer func() { err = cmp.Or(err, s.stop()) }()
	defer close(stop)
	total := int64(o.recoveries)
	began := time.Now()

	readers, where := make([]*recoverer, recoverers), make(places, total+1)
	progress := make(chan struct{}, 1)
	finished := make(chan struct{}, recoverers)
	ready := make(chan struct{}, recoverers)
	for i := range readers {
		r := &recoverer{
			where: where,
			rng:   rand.New(rand.NewPCG(uint64(i), 1)), // the same moments each time
		}
		readers[i] = r
		g.run(func() error {
			err := r.read(c, s.addr, total, ready, progress)
			finished <- struct{}{}
			return err
		})
	}
	if err := g.await(ready, len(readers)); err != nil {
		return err
	}
	publisher, err := c.open(s.addr, c.publishing)
	if err != nil {
		return err
	}
	g.conns = append(g.conns, publisher)
	g.run(func() error { return publishAll(c, publisher, total, readers, progress, stop) })
	if err := g.await(finished, len(readers)); err != nil {
		return err
	}
	select {
	case err := <-g.failed:
		return err
	default:
	}
	if err := report(out, readers, total, time.Since(began)); err != nil {
		return err
	}
	return where.check()
}

// report prints what the readers have counted, and is an error where events were lost.
func report(out io.Writer, readers []*recoverer, total int64, took time.Duration) error {
	var sum recoverer
	for _, r := range readers {
		sum.drops += r.drops
		sum.thrown += r.thrown
		sum.gaps += r.gaps
		sum.duplicates += r.duplicates
		sum.refused += r.refused
		sum.skipped += r.skipped
	}
	fmt.Fprintf(out,
		"recovery: %d events to %d clients in %v: %d disconnects (and %d by the server), %d "+
			"gaps, %d duplicates, %d times recovered:false (%d events)\n",
		total, recoverers, took.Round(time.Millisecond), sum.drops, sum.thrown,
		sum.gaps, sum.duplicates, sum.refused, sum.skipped)
	if sum.gaps+sum.duplicates > 0 {
		return errors.New("events were lost or came twice")
	}
	return nil
}

// read reads all events. Those before the first answer do not concern it.
func (r *recoverer) read(c *contestant, addr string, total int64,
	ready, progress chan<- struct{},
) error {
	for r.last.Load() < total {
		ws, err := dial(addr, c.feed)
		if err != nil {
			return err
		}
		first := r.epoch == ""
		err = r.session(ws, total, ready, progress, first)
		ws.close()
		if errors.Is(err, errClosed) {
			r.thrown++
		} else if err != nil {
			return err
		}
	}
	return nil
}

// session is one connection, until it is dropped on purpose.
func (r *recoverer) session(ws *client, total int64, ready, progress chan<- struct{},
	first bool,
) error {
	dropped, err := r.subscribe(ws, ready, first)
	if dropped || err != nil {
		return err
	}
	for left := int(r.rng.ExpFloat64() * recoverEvery); left > 0 && r.last.Load() < total; left-- {
		if err := r.event(ws, progress); err != nil {
			return err
		}
	}
	r.drops++
	return nil
}

// subscribe begins a connection, where the last one ended. It reports whether it dropped it at
// once.
func (r *recoverer) subscribe(ws *client, ready chan<- struct{}, first bool) (bool, error) {
	message := `{"type":"rpc.subscribe","id":1,"channel":"` + recoverable + `"}`
	if !first {
		message = fmt.Sprintf(
			`{"type":"rpc.subscribe","id":1,"channel":"%s","recover":{"epoch":%s,"offset":%d}}`,
			recoverable, r.epoch, r.last.Load())
	}
	if err := ws.write(frame(message)); err != nil {
		return false, err
	}
	if !first && r.rng.IntN(10) == 0 { // in the middle of subscribing
		r.drops++
		return true, nil
	}
	b, err := ws.next()
	if err != nil {
		return false, err
	}
	if !bytes.Contains(b, []byte(`"status":"subscribed"`)) {
		return false, fmt.Errorf("not subscribed: %s", b)
	}
	epoch, _, _ := bytes.Cut(after(b, `"epoch":`), []byte{','})
	switch {
	case first:
		r.last.Store(offset(b))
		ready <- struct{}{}
	case !bytes.Contains(b, []byte(`"recovered":true`)):
		r.refused++
		r.skipped += offset(b) - r.last.Load()
		r.last.Store(offset(b))
	}
	r.epoch = string(epoch)
	return false, nil
}

// event reads one event.
func (r *recoverer) event(ws *client, progress chan<- struct{}) error {
	b, err := ws.next()
	if err != nil {
		return err
	}
	at := offset(b)
	if !r.where.put(at, number(after(b, "#"), 8)) {
		return fmt.Errorf("not an event, or not the one that others got with this offset: %s", b)
	}
	switch last := r.last.Load(); {
	case at <= last:
		r.duplicates++
	case at > last+1:
		r.gaps++
	}
	r.last.Store(at)
	if at%256 == 0 {
		select {
		case progress <- struct{}{}:
		default:
		}
	}
	return nil
}

// offset is the last one that a message tells of, -1 when it tells of none.
func offset(b []byte) int64 {
	i := bytes.LastIndex(b, []byte(`"offset":`))
	if i < 0 {
		return -1
	}
	b = b[i+len(`"offset":`):]
	end := bytes.IndexAny(b, ",}")
	n, err := strconv.ParseInt(string(b[:max(end, 0)]), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// publishAll publishes the events, some at a time, and waits for readers that are far behind.
func publishAll(c *contestant, ws *client, total int64, readers []*recoverer,
	progress, stop <-chan struct{},
) error {
	fill := strings.Repeat("x", recoverPayload)
	for sent, answered := int64(0), int64(0); answered < total; {
		var out []byte
		for ; sent < total && sent-answered < recoverWindow; sent++ {
			id := firstID + int(sent%recoverWindow)
			payload := fmt.Sprintf(`"#%08d%s"`, sent+1, fill)
			out = append(out,
				frame(strings.Replace(c.publish(id, payload), channel, recoverable, 1))...)
		}
		if err := ws.write(out); err != nil {
			return err
		}
		for answered < sent {
			b, err := ws.next()
			if err != nil {
				return err
			}
			if !bytes.Contains(b, []byte(`"result"`)) {
				return fmt.Errorf("publish: %s", b)
			}
			answered++
		}
		for behind(readers) < sent-recoverAhead {
			select {
			case <-progress:
			case <-stop:
				return nil
			}
		}
	}
	return nil
}

func behind(readers []*recoverer) int64 {
	least := readers[0].last.Load()
	for _, r := range readers[1:] {
		least = min(least, r.last.Load())
	}
	return least
}
