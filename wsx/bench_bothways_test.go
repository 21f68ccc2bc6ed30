package wsx_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

// naiveRequest is the request of the naive sides.
type naiveRequest struct {
	Type   string    `json:"type"`
	ID     int       `json:"id"`
	Method string    `json:"method"`
	Params addParams `json:"params"`
}

// naiveServer serves each connection by a loop over coder/websocket, which writes and reads one
// message at a time.
func naiveServer(b *testing.B, serve func(ctx context.Context, c *websocket.Conn)) string {
	var serving sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		serving.Add(1)
		defer serving.Done()
		defer func() { _ = c.CloseNow() }()
		serve(context.Background(), c)
	}))
	b.Cleanup(func() { srv.Close(); serving.Wait() })
	return srv.URL
}

func rawDial(b *testing.B, url string) *websocket.Conn {
	c, _, err := websocket.Dial(b.Context(), url, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.CloseNow() })
	return c
}

// answering is a client that answers every request, until its connection ends.
func answering(c *websocket.Conn) {
	for {
		_, p, err := c.Read(context.Background())
		if err != nil {
			return
		}
		_, rest, _ := bytes.Cut(p, []byte(`"id":`))
		id, _, _ := bytes.Cut(rest, []byte(","))
		answer := append(append([]byte(`{"type":"rpc.response","id":`), id...),
			`,"result":{"Sum":42}}`...)
		if c.Write(context.Background(), websocket.MessageText, answer) != nil {
			return
		}
	}
}

// BenchmarkCall compares a call of the client by the server with the naive one, which writes a
// request and takes the next message for its answer, and so has one call at a time. The client is
// the same. One op is one call.
func BenchmarkCall(b *testing.B) {
	b.Run("naive", func(b *testing.B) {
		done := make(chan struct{})
		c := rawDial(b, naiveServer(b, func(ctx context.Context, c *websocket.Conn) {
			defer close(done)
			b.ReportAllocs()
			for b.Loop() {
				out, err := json.Marshal(naiveRequest{"rpc.request", 1, "add", addParams{2, 40}})
				if err == nil {
					err = c.Write(ctx, websocket.MessageText, out)
				}
				var in []byte
				if err == nil {
					_, in, err = c.Read(ctx)
				}
				var answer struct {
					Result addResult `json:"result"`
				}
				if err == nil {
					err = json.Unmarshal(in, &answer)
				}
				if err != nil || answer.Result.Sum != 42 {
					b.Error(answer, err)
					return
				}
			}
		}))
		go answering(c)
		<-done
	})

	conns := make(chan *wsx.Conn, 1)
	d := wsx.NewDispatcher()
	wsx.HandleNotify(d, "hello",
		func(ctx context.Context, _ struct{}) error { conns <- wsx.ConnFrom(ctx); return nil })
	c := rawDial(b, benchServer(b, d))
	if err := c.Write(b.Context(), websocket.MessageText,
		[]byte(`{"type":"rpc.notify","method":"hello"}`)); err != nil {
		b.Fatal(err)
	}
	conn := <-conns
	go answering(c)
	call := func(b *testing.B) {
		if got, err := wsx.Call[addResult](b.Context(), conn, "add", addParams{2, 40}); err !=
			nil || got.Sum != 42 {
			b.Error(got, err)
		}
	}
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			call(b)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				call(b)
			}
		})
	})
}

// BenchmarkHandleStream compares a stream with the naive one, which encodes and writes an item
// after the other and cannot be cancelled. The client is the same, and reads them all; with a
// window it acknowledges every half of it. One op is one item.
func BenchmarkHandleStream(b *testing.B) {
	b.Run("naive", func(b *testing.B) {
		url := naiveServer(b, func(ctx context.Context, c *websocket.Conn) {
			var in struct {
				ID     jsontext.Value `json:"id"`
				Params int            `json:"params"`
			}
			if _, p, err := c.Read(ctx); err != nil || json.Unmarshal(p, &in) != nil {
				return
			}
			for i := range in.Params {
				out, err := json.Marshal(struct {
					Type string         `json:"type"`
					ID   jsontext.Value `json:"id"`
					Item addResult      `json:"item"`
					Seq  int            `json:"seq"`
				}{"rpc.stream", in.ID, addResult{i}, i})
				if err != nil || c.Write(ctx, websocket.MessageText, out) != nil {
					return
				}
			}
			_ = c.Write(ctx, websocket.MessageText,
				[]byte(`{"type":"rpc.response","id":1,"result":null}`))
			_, _, _ = c.Read(ctx) // until the client has gone
		})
		readStream(b, rawDial(b, url), 0)
	})
	d := wsx.NewDispatcher()
	wsx.HandleStream(d, "count",
		func(_ context.Context, n int, _ *struct{}) iter.Seq2[addResult, error] {
			return func(yield func(addResult, error) bool) {
				for i := range n {
					if !yield(addResult{i}, nil) {
						return
					}
				}
			}
		})
	url := benchServer(b, d)
	for _, window := range []int{0, 256} {
		b.Run(fmt.Sprintf("window=%d", window),
			func(b *testing.B) { readStream(b, rawDial(b, url), window) })
	}
}

// readStream asks for b.N items and reads them. window 0 is none.
func readStream(b *testing.B, c *websocket.Conn, window int) {
	meta := ""
	if window > 0 {
		meta = `,"meta":{"window":` + strconv.Itoa(window) + `}`
	}
	b.ReportAllocs()
	b.ResetTimer()
	request := fmt.Sprintf(`{"type":"rpc.request","id":1,"method":"count","params":%d%s}`, b.N,
		meta)
	if err := c.Write(b.Context(), websocket.MessageText, []byte(request)); err != nil {
		b.Fatal(err)
	}
	for n := 0; ; n++ {
		_, p, err := c.Read(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		if bytes.HasPrefix(p, []byte(`{"type":"rpc.response"`)) {
			if n != b.N {
				b.Fatalf("%d items of %d", n, b.N)
			}
			return
		}
		if window == 0 || (n+1)%(window/2) != 0 {
			continue
		}
		ack := fmt.Sprintf(`{"type":"rpc.notify","method":"wsx.ack","params":{"id":1,"next":%d}}`,
			n+1)
		if err := c.Write(b.Context(), websocket.MessageText, []byte(ack)); err != nil {
			b.Fatal(err)
		}
	}
}

// benchServer serves d over TCP.
func benchServer(b *testing.B, d *wsx.Dispatcher) string {
	s := wsx.NewServer(d, nil)
	srv := httptest.NewServer(s)
	b.Cleanup(func() { stop(b, s); srv.Close() })
	return srv.URL
}
