package fanout

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// writer is a subscriber that writes what a visit brings to a TCP connection, in one write.
type writer struct {
	Slot
	conn  net.Conn
	batch []byte
	seen  func(payload string)
}

func (w *writer) Take(frames []*Frame) {
	w.batch = w.batch[:0]
	for _, f := range frames {
		w.batch = append(w.batch, f.Encoded(wire.WSX, 0).Payload()...)
	}
	if _, err := w.conn.Write(w.batch); err != nil {
		panic(err)
	}
	for _, f := range frames {
		w.seen(string(f.Payload))
	}
}

// writers connects so many to readers that throw away what comes.
func writers(b *testing.B, n int, seen func(payload string)) []*writer {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var readers sync.WaitGroup
	all := make([]*writer, n)
	for i := range all {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		accepted, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		readers.Go(func() { _, _ = io.Copy(io.Discard, accepted); _ = accepted.Close() })
		all[i] = &writer{conn: conn, seen: seen}
	}
	b.Cleanup(func() {
		_ = l.Close()
		for _, w := range all {
			_ = w.conn.Close()
		}
		readers.Wait()
	})
	return all
}

// BenchmarkQueues has publishers that wait until their event of 200 bytes has been written to all
// subscribers. One op is one event. "plain" lets an event wait for the one before it, "joining" has
// one worker, "workers" is what the hub has.
func BenchmarkQueues(b *testing.B) {
	for _, subscribers := range []int{100, 1000} {
		for _, publishers := range []int{1, 16} {
			for _, kind := range []string{"plain", "joining", "workers"} {
				b.Run(fmt.Sprintf("subscribers=%d/publishers=%d/%s", subscribers, publishers, kind),
					func(b *testing.B) { benchQueues(b, subscribers, publishers, kind) })
			}
		}
	}
}

func benchQueues(b *testing.B, subscribers, publishers int, kind string) {
	payloads := make([]string, publishers)
	left, done := make([]atomic.Int64, publishers), make([]chan struct{}, publishers)
	for i := range publishers {
		payloads[i] = fmt.Sprintf("%q", string(rune('a'+i))+strings.Repeat("x", 197))
		done[i] = make(chan struct{})
	}
	all := writers(b, subscribers, func(payload string) {
		if i := payload[1] - 'a'; left[i].Add(-1) == 0 {
			done[i] <- struct{}{}
		}
	})
	group := &Group[*writer]{Label: Label{ID: "1"}}
	for _, w := range all {
		group.Add(w)
	}
	q := New(owner{group})
	if kind == "joining" {
		q.workers = 1
	}
	var one sync.Mutex
	publish := func(i int) {
		e := event(payloads[i])
		if kind != "plain" {
			q.Event(e)
			return
		}
		go func() {
			one.Lock()
			defer one.Unlock()
			f := []*Frame{{Event: e, Label: &group.Label}}
			for _, w := range all {
				w.Take(f)
			}
		}()
	}
	b.ReportAllocs()
	b.ResetTimer()
	var publishing sync.WaitGroup
	var events atomic.Int64
	for i := range publishers {
		publishing.Go(func() {
			for events.Add(1) <= int64(b.N) {
				left[i].Store(int64(subscribers))
				publish(i)
				<-done[i]
			}
		})
	}
	publishing.Wait()
	b.StopTimer()
	q.Wait()
}

// owner is one whose channel has one group that stays as it is.
type owner struct{ group *Group[*writer] }

func (o owner) Listeners(_ string, to []*Group[*writer]) ([]*Group[*writer], string) {
	return append(to, o.group), "a"
}
func (owner) TooLarge(broker.Event) bool   { return false }
func (owner) TellPresence(broker.Presence) {}
