package wsx_test

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/wsx"
)

// These tests run over net.Pipe, which holds nothing: a client that does not read leaves one write
// under way and the rest in the queue.

// slowRig is a client that is subscribed to channels and does not read, and one that reads.
func slowRig(t *testing.T, policy wsx.SlowPolicy, opts *wsx.ServerOptions,
	subscribe ...string,
) (*hubRig, *socket, *tap) {
	t.Helper()
	o := *opts
	if o.WriteTimeout == 0 {
		o.WriteTimeout = time.Hour
	}
	o.KeepaliveAfter = -1
	r := newRig(t, nil,
		map[string]wsx.ChannelOptions{
			"a.>": {Slow: policy}, "h.>": {Slow: policy, History: 2000},
			"other": {},
		}, &o)
	s, other := dialSocket(t, r.client, "ws://wsx.test/"), r.tap()
	for i, channel := range subscribe {
		for _, c := range []*socket{s, other.socket} {
			c.send(subscribeTo(strconv.Itoa(i), channel, ""))
		}
		if got := s.read(); !strings.Contains(got, `"subscribed"`) {
			t.Fatal(got)
		}
		other.all()
	}
	return r, s, other
}

func TestHub_ASlowConsumerIsDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, slow, other := slowRig(t, wsx.SlowDisconnect, &wsx.ServerOptions{}, "h.x")
		for i := range 1500 {
			r.publish("h.x", i)
			if i%500 == 499 {
				// the close frame is on its way: what comes now must not get out behind the gap
				synctest.Wait()
			}
		}
		for last := uint64(0); ; last++ {
			_, b, err := slow.c.Read(t.Context())
			if err != nil {
				if ce, ok := errors.AsType[websocket.CloseError](err); !ok || ce.Code != 4430 ||
					last == 0 || last > 1030 {
					t.Errorf("ended with %v after %d events", err, last)
				}
				break
			}
			if _, offset, _ := positionOf(t, string(b)); offset != last+1 {
				t.Fatalf("%d after %d", offset, last)
			}
		}
		if got := other.all(); len(got) != 1500 || other.ended() != nil {
			t.Errorf("the other has %d, %v", len(got), other.ended())
		}
	})
}

func TestHub_ASlowConsumerThatNeverReadsIsCutWithin10s(t *testing.T) {
	for name, policy := range map[string]wsx.SlowPolicy{
		"disconnect":  wsx.SlowDisconnect,
		"drop oldest": wsx.SlowDropOldest, "latest": wsx.SlowLatest,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan time.Time, 2)
				r := newRig(t, nil,
					map[string]wsx.ChannelOptions{
						"a": {
							Slow:          policy,
							OnUnsubscribe: func(wsx.Subscription) { ended <- time.Now() },
						},
					}, nil)
				s := dialSocket(t, r.client, "ws://wsx.test/")
				s.send(subscribeTo("1", "a", ""))
				s.read()
				start := time.Now()
				for i := range 1100 {
					r.publish("a", i)
				}
				if took := (<-ended).Sub(start); took > 10*time.Second {
					t.Errorf("cut after %v", took)
				}
			})
		})
	}
}

func TestHub_DropsTheOldestAndCountsThem(t *testing.T) {
	for _, channel := range []string{"a.x", "a.*", "h.x"} {
		t.Run(channel, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, slow, other := slowRig(t, wsx.SlowDropOldest,
					&wsx.ServerOptions{MaxQueueMessages: 20}, channel)
				name := strings.Replace(channel, "*", "x", 1)
				published, received, lost, last := 0, 0, uint64(0), -1
				publish := func(n int) {
					for range n {
						r.publish(name, published)
						published++
						synctest.Wait()
					}
				}
				read := func(n int) {
					for range n {
						m := slow.read()
						_, _, dropped := positionOf(t, m)
						if channel != "h.x" { // without a position, positionOf reads no meta
							dropped = droppedOf(t, m)
						}
						var v int
						_, payload, _ := strings.Cut(m, `"payload":`)
						if _, err := fmt.Sscanf(payload, "%d", &v); err != nil {
							t.Fatal(m)
						}
						received++
						lost += dropped
						if v != last+1+int(dropped) {
							t.Fatalf("%d after %d with %d dropped", v, last, dropped)
						}
						last = v
					}
				}
				publish(100) // 20 of these wait
				publish(1)
				read(5)
				publish(200) // what carried a count goes too
				publish(30)
				read(25)
				publish(3)
				for last != published-1 {
					read(1)
				}
				if received+int(lost) != published || lost == 0 {
					t.Errorf("%d received, %d dropped, %d published", received, lost, published)
				}
				if got := other.all(); len(got) != published ||
					strings.Contains(strings.Join(got, ""), "dropped") {
					t.Errorf("the other has %d of %d", len(got), published)
				}
			})
		})
	}
}

// No more is dropped than there is no room for: the queue is full when it is read.
func TestHub_DropsNoMoreThanItMust(t *testing.T) {
	for _, published := range []int{40, 41, 42} {
		synctest.Test(t, func(t *testing.T) {
			r, slow, _ := slowRig(t, wsx.SlowDropOldest, &wsx.ServerOptions{MaxQueueMessages: 20},
				"a.x")
			for i := range published {
				r.publish("a.x", i)
				synctest.Wait()
			}
			received, last := 0, `"payload":`+strconv.Itoa(published-1)+","
			for m := ""; !strings.Contains(m, last); received++ {
				m = slow.read()
			}
			if received != 20 {
				t.Errorf("%d of %d events were received, with room for 20", received, published)
			}
		})
	}
}

// droppedOf reads meta.dropped.
func droppedOf(t testing.TB, m string) uint64 {
	t.Helper()
	_, after, ok := strings.Cut(m, `"dropped":`)
	if !ok {
		return 0
	}
	digits, _, _ := strings.Cut(after, "}")
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		t.Error(m)
	}
	return n
}

func TestHub_DropsTheNewEventWhereOnlyOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, slow, _ := slowRig(t, wsx.SlowDropOldest, &wsx.ServerOptions{MaxQueueMessages: 5}, "a.x",
			"a.y")
		r.publish("a.y", "under way")
		synctest.Wait()
		for i := range 4 { // and the one under way
			r.publish("a.x", i)
		}
		synctest.Wait()
		for i := range 3 {
			r.publish("a.y", i) // no room, and a.x is not its to drop
		}
		synctest.Wait()
		slow.read()
		for i := range 4 {
			if got := slow.read(); got != event("a.x", strconv.Itoa(i), "1", "") {
				t.Errorf("%s", got)
			}
		}
		synctest.Wait()
		r.publish("a.y", 3)
		slow.expect(event("a.y", "3", "2", `,"dropped":3`))
	})
}

func TestHub_LatestKeepsOnlyTheNewestOfEachChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, slow, other := slowRig(t, wsx.SlowLatest, &wsx.ServerOptions{MaxQueueMessages: 10},
			"a.x", "a.*")
		// one write is under way, 1 or 2 wait
		first := func() { r.publish("a.x", "first"); synctest.Wait() }
		first()
		for i := range 3 {
			r.publish("a.x", i)
			r.publish("a.y", i)
		}
		synctest.Wait() // 1 + 9: the queue is full
		for i := range 20 {
			r.publish("a.x", 100+i)
			synctest.Wait()
			r.publish("a.y", 100+i)
			synctest.Wait()
		}
		var got []string
		var received, dropped [3]int
		for newest := 0; newest < 3; { // of a.x, of a.x by the pattern, of a.y by the pattern
			m := slow.read()
			got = append(got, m)
			sub := 1
			if strings.Contains(m, `"sub_id":"2"`) {
				sub = 2
			}
			received[sub]++
			dropped[sub] += int(droppedOf(t, m))
			if strings.Contains(m, `"payload":119`) {
				newest++
			}
		}
		synctest.Wait()
		if n := len(got); n > 2+3 { // at most both firsts were under way
			t.Errorf("%d events waited:\n%s", n, strings.Join(got, "\n"))
		}
		if received[1]+dropped[1] != 1+3+20 || received[2]+dropped[2] != 1+2*(3+20) {
			t.Errorf("received %v, dropped %v", received, dropped)
		}
		r.publish("a.y", "live") // the queue has been empty: nothing is held back
		r.publish("a.y", "live")
		slow.expect(event("a.y", `"live"`, "2", ""), event("a.y", `"live"`, "2", ""))
		if n := len(other.all()); n != 2+3*3+20*3+2 {
			t.Errorf("the other has %d", n)
		}
	})
}

// TestHub_LatestIsBounded: a pattern has as many channels as somebody makes up.
func TestHub_LatestIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, slow, _ := slowRig(t, wsx.SlowLatest, &wsx.ServerOptions{MaxQueueMessages: 10}, "a.*")
		for i := range 500 {
			r.publish("a.x"+strconv.Itoa(i), i)
			synctest.Wait()
		}
		received, lost := 0, 0
		for m := ""; !strings.Contains(m, `"payload":499`); received++ {
			m = slow.read()
			lost += int(droppedOf(t, m))
		}
		if received > 12 || received+lost != 500 {
			t.Errorf("%d received, %d dropped", received, lost)
		}
	})
}

func TestHub_ResponsesWaitForRoom(t *testing.T) {
	for name, policy := range map[string]wsx.SlowPolicy{
		"drop oldest": wsx.SlowDropOldest,
		"latest":      wsx.SlowLatest,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, slow, _ := slowRig(t, policy, &wsx.ServerOptions{MaxQueueMessages: 10}, "a.x")
				for i := range 50 {
					r.publish("a.x", i)
				}
				synctest.Wait()
				for i := range 30 {
					slow.send(request(strconv.Itoa(i), "echo", strconv.Itoa(i)))
				}
				synctest.Wait()
				r.publish("a.x", "more")
				answers := make(map[string]bool)
				for len(answers) < 30 {
					if m := slow.read(); strings.Contains(m, "rpc.response") {
						answers[m] = true
					}
				}
			})
		})
	}
}

func TestHub_AnEventLargerThanTheQueueGetsThroughAnEmptyOne(t *testing.T) {
	for name, policy := range map[string]wsx.SlowPolicy{
		"disconnect":  wsx.SlowDisconnect,
		"drop oldest": wsx.SlowDropOldest, "latest": wsx.SlowLatest,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, slow, _ := slowRig(t, policy, &wsx.ServerOptions{MaxQueueBytes: 1000}, "a.x")
				big := strings.Repeat("x", 5000)
				r.publish("a.x", big)
				slow.expect(event("a.x", `"`+big+`"`, "1", ""))
			})
		})
	}
}

func TestHub_PresenceDoesNotCutWhoMayBeSlow(t *testing.T) {
	for name, policy := range map[string]wsx.SlowPolicy{
		"disconnect": wsx.SlowDisconnect,
		"latest":     wsx.SlowLatest,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil,
					map[string]wsx.ChannelOptions{"a": {Slow: policy, Presence: true}},
					&wsx.ServerOptions{MaxQueueMessages: 5, WriteTimeout: time.Hour})
				slow, other := dialSocket(t, r.client, "ws://wsx.test/"), r.tap()
				slow.send(subscribeTo("1", "a", ""))
				slow.read()
				for range 20 {
					other.send(subscribeTo("1", "a", ""))
					other.all()
					other.send(`{"type":"rpc.unsubscribe","id":1,"channel":"a"}`)
					other.all()
				}
				slow.read() // the write under way
				if policy == wsx.SlowDisconnect {
					slow.expectClosed(4430)
					return
				}
				synctest.Wait()
				slow.send(ping)
				for slow.read() != pong {
					continue
				}
			})
		})
	}
}

// TestHub_MemoryOfSlowConsumersIsBounded: over real sockets, whose buffers are the system's.
func TestHub_MemoryOfSlowConsumersIsBounded(t *testing.T) {
	hub := wsx.NewHub(nil)
	hub.Configure("drop", &wsx.ChannelOptions{Slow: wsx.SlowDropOldest})
	hub.Configure("latest", &wsx.ChannelOptions{Slow: wsx.SlowLatest})
	_, url := newTestServer(t, &wsx.ServerOptions{Hub: hub, MaxQueueBytes: 256 << 10})
	const clients = 10
	for i := range clients {
		s := dialSocket(t, nil, url)
		s.send(subscribeTo("1", []string{"drop", "latest"}[i%2], ""))
		s.read()
	}
	payload := strings.Repeat("x", 10_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var wg sync.WaitGroup
	for _, channel := range []string{"drop", "latest"} {
		wg.Go(func() {
			for range 1500 { // 15 MB for each client
				if _, err := hub.Publish(t.Context(), channel, payload); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := hub.Stop(t.Context()); err != nil { // all is in the queues
		t.Error(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > clients*(512<<10) {
		t.Errorf("the heap has grown by %d KiB", grown>>10)
	}
}
