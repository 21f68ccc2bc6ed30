package wsxclient_test

import (
	"context"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

// BenchmarkCall compares a call with the naive client: one that writes a request and reads the next
// message as its answer, and so has one call at a time. The server is the same. One op is one call.
func BenchmarkCall(b *testing.B) {
	server := wsx.NewServer(methods(), nil)
	srv := httptest.NewServer(server)
	b.Cleanup(func() { srv.Close(); _ = server.Stop(context.Background()) })
	b.Run("naive", func(b *testing.B) {
		c, _, err := websocket.Dial(b.Context(), srv.URL, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = c.CloseNow() }()
		type request struct {
			Type   string `json:"type"`
			ID     int    `json:"id"`
			Method string `json:"method"`
			Params point  `json:"params"`
		}
		b.ReportAllocs()
		for b.Loop() {
			out, err := json.Marshal(request{"rpc.request", 1, "mirror", point{1, 2}})
			if err == nil {
				err = c.Write(b.Context(), websocket.MessageText, out)
			}
			var in []byte
			if err == nil {
				_, in, err = c.Read(b.Context())
			}
			var answer struct {
				Result point `json:"result"`
			}
			if err == nil {
				err = json.Unmarshal(in, &answer)
			}
			if err != nil || answer.Result.X != 2 {
				b.Fatal(answer, err)
			}
		}
	})
	c, err := wsxclient.Dial(b.Context(), srv.URL, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	call := func(b *testing.B, ctx context.Context) {
		if got, err := wsxclient.Call[point](ctx, c, "mirror", point{1, 2}); err != nil ||
			got.X != 2 {
			b.Error(got, err)
		}
	}
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			call(b, b.Context())
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				call(b, b.Context())
			}
		})
	})
}
