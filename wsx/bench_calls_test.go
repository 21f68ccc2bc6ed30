package wsx

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// BenchmarkHandover measures what the reader hand-over gains (see internal/handover): calls of a
// quick method that the reader runs itself, beside the plain version, a goroutine for each call.
// cpu-ns/op is of the whole process, the clients included; p50 and p99 are of the answers.
func BenchmarkHandover(b *testing.B) {
	for _, load := range []struct{ conns, outstanding int }{{16, 1}, {16, 32}} {
		for _, plain := range []bool{false, true} {
			name := "reader"
			if plain {
				name = "goroutine"
			}
			b.Run(fmt.Sprintf("%dx%d/%s", load.conns, load.outstanding, name),
				func(b *testing.B) {
					var took time.Duration
					if plain {
						took = time.Second // no call of it is quick
					}
					var pace *pace
					d := NewDispatcher()
					Handle(d, "add",
						func(ctx context.Context, in benchParams) (benchResult, error) {
							pace.Note(took)
							return benchAdd(ctx, in)
						})
					pace = d.lookup([]byte("add")).pace
					benchCalls(b, d, load.conns, load.outstanding)
				})
		}
	}
}

// BenchmarkCallContext measures what it gains that a call is its handler's context (see call):
// beside it the plain version, in which each call makes a context of the standard library, derived
// from its connection's, with the call as a value.
func BenchmarkCallContext(b *testing.B) {
	type key struct{}
	for _, load := range []struct{ conns, outstanding int }{{16, 1}, {16, 32}} {
		for _, plain := range []bool{false, true} {
			name := "own"
			if plain {
				name = "standard"
			}
			b.Run(fmt.Sprintf("%dx%d/%s", load.conns, load.outstanding, name),
				func(b *testing.B) {
					d := NewDispatcher()
					Handle(d, "add",
						func(ctx context.Context, in benchParams) (benchResult, error) {
							if plain {
								made, cancel := context.WithCancelCause(ConnFrom(ctx).ctx)
								defer cancel(nil)
								ctx = context.WithValue(made, key{}, ctx)
							}
							return benchAdd(ctx, in)
						})
					benchCalls(b, d, load.conns, load.outstanding)
				})
		}
	}
}

// benchCalls calls add over so many connections, with so many calls outstanding on each.
func benchCalls(b *testing.B, d *Dispatcher, conns, outstanding int) {
	s := NewServer(d, nil)
	web := httptest.NewServer(s)
	defer web.Close()
	defer func() { _ = s.Stop(context.Background()) }()
	clients := make([]*websocket.Conn, conns)
	for i := range clients {
		c, _, err := websocket.Dial(context.Background(), web.URL, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = c.CloseNow() }()
		clients[i] = c
	}
	took := make([][]time.Duration, conns)
	b.ReportAllocs()
	b.ResetTimer()
	before := processTime(b)
	var running sync.WaitGroup
	for i, c := range clients {
		running.Go(func() { took[i] = benchClient(b, c, b.N/conns+1, outstanding) })
	}
	running.Wait()
	b.StopTimer()
	b.ReportMetric(float64(processTime(b)-before)/float64(b.N), "cpu-ns/op")
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
}

// benchClient makes n calls and returns how long each took.
func benchClient(b *testing.B, c *websocket.Conn, n, outstanding int) []time.Duration {
	ctx := context.Background()
	begun, took := make([]time.Time, n), make([]time.Duration, 0, n)
	send := func(i int) {
		m := strconv.AppendInt([]byte(`{"type":"rpc.request","id":`), int64(i), 10)
		m = append(m, `,"method":"add","params":{"a":2,"b":40}}`...)
		begun[i] = time.Now()
		if err := c.Write(ctx, websocket.MessageText, m); err != nil {
			b.Error(err)
		}
	}
	next := min(n, outstanding)
	for i := range next {
		send(i)
	}
	for len(took) < n {
		_, answer, err := c.Read(ctx)
		if err != nil {
			b.Error(err)
			return took
		}
		const start = len(`{"type":"rpc.response","id":`)
		end := start
		for answer[end] != ',' {
			end++
		}
		id, err := strconv.Atoi(string(answer[start:end]))
		if err != nil {
			b.Errorf("%s: %v", answer, err)
			return took
		}
		took = append(took, time.Since(begun[id]))
		if next < n {
			send(next)
			next++
		}
	}
	return took
}

// processTime is the CPU time that the process has used so far.
func processTime(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
