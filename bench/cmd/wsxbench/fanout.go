package main

import (
	"fmt"
	"strings"
	"sync/atomic"
)

// maxOutstanding is how many publishes may be under way; the slots of deliveries.
const maxOutstanding = 64

// fan is subscribers that count what comes, and a publisher.
type fan struct {
	*group
	subs     []*subscriber
	need     int32                        // deliveries that make an event done
	arrived  [maxOutstanding]atomic.Int32 // by number of the event
	done     chan struct{}                // one for each event done
	onEvent  func(sub int, event int64)   // nil for nothing
	publish  *client
	sequence int64
}

type subscriber struct {
	ws    *client
	next  int64  // every event before this one has come
	seen  uint64 // which of those from next on have
	count atomic.Int64
	_     [64]byte // no two subscribers count in one cache line
}

func newFan(c *contestant, s *child, subscribers int) (*fan, error) {
	f := &fan{
		group: newGroup(subscribers), need: int32(subscribers),
		done: make(chan struct{}, maxOutstanding),
	}
	if err := f.open(subscribers, func() (*client, error) { return c.openFeed(s.addr) }); err !=
		nil {
		f.close()
		return nil, err
	}
	for _, ws := range f.conns {
		f.subs = append(f.subs, &subscriber{ws: ws, next: 1})
	}
	var err error
	if f.publish, err = c.open(s.addr, c.publishing); err != nil {
		f.close()
		return nil, err
	}
	f.conns = append(f.conns, f.publish)
	return f, nil
}

// listen starts the subscribers and whoever reads the answers to the publisher.
func (f *fan) listen() {
	for i, s := range f.subs {
		f.run(func() error { return f.read(i, s) })
	}
	f.run(func() error {
		for {
			b, err := f.publish.next()
			if err != nil {
				return err
			}
			if strings.Contains(string(b), `"error"`) {
				return fmt.Errorf("publish: %s", b)
			}
		}
	})
}

// read takes what comes to one subscriber.
func (f *fan) read(i int, s *subscriber) error {
	for n := int64(0); ; {
		b, err := s.ws.next()
		if err != nil {
			return err
		}
		event := number(after(b, "#"), 8)
		if !s.take(event) {
			return fmt.Errorf("subscriber %d got event %d, where %d is next: %.100s", i, event,
				s.next, b)
		}
		n++
		if f.onEvent != nil {
			f.onEvent(i, event)
		}
		if slot := &f.arrived[event%maxOutstanding]; slot.Add(1) == f.need {
			slot.Store(0)
			f.done <- struct{}{}
		}
		if !s.ws.more() {
			s.count.Add(n)
			n = 0
		}
	}
}

// take sees that every event comes once, and in order where one is under way at a time: servers may
// run the calls that are outstanding together in any order.
func (s *subscriber) take(event int64) bool {
	ahead := event - s.next
	if ahead < 0 || ahead >= maxOutstanding || s.seen>>ahead&1 == 1 {
		return false
	}
	for s.seen |= 1 << ahead; s.seen&1 == 1; s.seen >>= 1 {
		s.next++
	}
	return true
}

// send publishes the next event: a JSON string of so many bytes with its number in it.
func (f *fan) send(c *contestant, size int) error {
	f.sequence++
	payload := fmt.Sprintf(`"#%08d%s"`, f.sequence, strings.Repeat("x", size-11))
	return f.publish.write(frame(c.publish(firstID+int(f.sequence%maxOutstanding), payload)))
}

func (f *fan) count() (n int64) {
	for _, s := range f.subs {
		n += s.count.Load()
	}
	return n
}

func fanout(subscribers, outstanding int) func(*contestant, *child, *options, string) (result,
	error) {
	const size = 200
	return func(c *contestant, s *child, o *options, profile string) (r result, err error) {
		f, err := newFan(c, s, subscribers)
		if err != nil {
			return r, err
		}
		stop := make(chan struct{})
		defer f.close()
		defer close(stop)
		f.listen()
		f.run(func() error {
			for range outstanding {
				if err := f.send(c, size); err != nil {
					return err
				}
			}
			for {
				select {
				case <-f.done:
					if err := f.send(c, size); err != nil {
						return err
					}
				case <-stop:
					return nil
				}
			}
		})
		return window(s, o, profile, f.failed, f.count)
	}
}
