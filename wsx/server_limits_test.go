package wsx_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

func TestServer_ClosesWhatBreaksItsLimits(t *testing.T) {
	big := func(n int) string { return request("1", "echo", `"`+strings.Repeat("x", n)+`"`) }
	for _, tc := range []struct {
		name string
		opts wsx.ServerOptions
		send string
		code websocket.StatusCode
	}{
		{"message of 65 KiB", wsx.ServerOptions{}, big(65 << 10), websocket.StatusMessageTooBig},
		{
			"message over MaxMessage",
			wsx.ServerOptions{MaxMessage: 100},
			big(100),
			websocket.StatusMessageTooBig,
		},
		{
			"text that is not UTF-8",
			wsx.ServerOptions{},
			"\"\xff\"",
			websocket.StatusInvalidFramePayloadData,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := dialSocket(t, nil, serveTCP(t, callDispatcher(), &tc.opts))
			if err := s.c.Write(t.Context(), websocket.MessageText, []byte(tc.send)); err != nil {
				t.Log(err) // closed while sending
			}
			s.expectClosed(tc.code)
		})
	}

	const begin, more, pings = "\x01\x81mask ", "\x00\x80mask", "\x89\x80mask"
	for _, tc := range []struct {
		name string
		opts wsx.ServerOptions
		send string
		code websocket.StatusCode
	}{
		{
			"1,025 frames",
			wsx.ServerOptions{},
			begin + strings.Repeat(more, 1024),
			websocket.StatusPolicyViolation,
		},
		{
			"frames over MaxFrames",
			wsx.ServerOptions{MaxFrames: 3},
			begin + strings.Repeat(more, 3),
			websocket.StatusPolicyViolation,
		},
		{"more than a minute's pings", wsx.ServerOptions{}, strings.Repeat(pings, 601), 4420},
		{"pings over MaxPings", wsx.ServerOptions{MaxPings: 1}, strings.Repeat(pings, 61), 4420},
		{"a minute for a message", wsx.ServerOptions{KeepaliveAfter: -1}, begin, 4420},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, client := serve(t, callDispatcher(), &tc.opts)
				rwc := dialRaw(t, client, "http://wsx.test/")
				go func() { _, _ = io.WriteString(rwc, tc.send) }() // may be closed while sending
				start := time.Now()
				code, after := readClose(t, rwc, start)
				if code != tc.code {
					t.Errorf("closed with %d", code)
				}
				if want := tc.send == begin; want != (after == time.Minute) {
					t.Errorf("closed after %v", after)
				}
			})
		})
	}
}

// readClose reads frames without masks and of at most 125 bytes until one closes the connection.
func readClose(t *testing.T, r io.Reader, start time.Time) (code websocket.StatusCode,
	after time.Duration,
) {
	t.Helper()
	for {
		var head [2]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			t.Fatalf("ended without a close frame: %v", err)
		}
		payload := make([]byte, head[1])
		if _, err := io.ReadFull(r, payload); err != nil {
			t.Fatal(err)
		}
		if head[0] == 0x88 {
			return websocket.StatusCode(binary.BigEndian.Uint16(payload)), time.Since(start)
		}
	}
}

func TestServer_TakesWhatIsWithinItsLimits(t *testing.T) {
	s := dial(t, callDispatcher(),
		&wsx.ServerOptions{
			MaxMessage: -1, MaxFrames: -1, MaxDepth: -1, MessageRate: -1,
			MessageTimeout: -1, MaxQueueBytes: -1, MaxQueueMessages: -1,
		})
	big := `"` + strings.Repeat("x", 200<<10) + `"`
	s.send(request("1", "echo", big))
	s.expect(response("1", big))
	deep := strings.Repeat("[", 1000) + strings.Repeat("]", 1000)
	s.send(request("1", "echo", deep))
	s.expect(response("1", deep))

	s = dial(t, callDispatcher(), &wsx.ServerOptions{MaxDepth: 3})
	s.send(request("1", "echo", "[[]]"), request("2", "echo", "[[[]]]"))
	s.expect(response("1", "[[]]"),
		fault("2", "INVALID_REQUEST", "the message is nested too deeply"))
}

func TestServer_RefusesMessagesOverTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, contexts, release := handing()
		s := dial(t, d, &wsx.ServerOptions{MessageRate: 10, MessageBurst: 5, KeepaliveAfter: -1})
		s.send(request("0", "hand", ""))
		ctx := <-contexts
		for range 4 {
			s.send(request("1", "echo", "2"))
			s.expect(response("1", "2"))
		}
		refused := `{"type":"rpc.error","id":1,"error":{"code":"RESOURCE_EXHAUSTED",` +
			`"message":"resource exhausted","details":{"retry_after_ms":%d}}}`
		s.send(request("1", "none", "")) // before the method is looked up
		var wait int
		if _, err := fmt.Sscanf(s.read(), refused, &wait); err != nil || wait < 1 || wait > 101 {
			t.Fatal(wait, err)
		}
		// What nobody waits for is not answered, least of all a cancel in the name of the call.
		s.send(`{"type":"rpc.cancel","id":0}`, `{"type":"rpc.notify","method":"echo"}`,
			`{"type":"rpc.pong","id":"p"}`)
		<-time.After(time.Duration(wait) * time.Millisecond)
		s.send(request("1", "echo", "3"))
		s.expect(response("1", "3"))
		if ctx.Err() != nil {
			t.Error("cancelled over the rate")
		}
		close(release)
		s.expect(response("0", "null"))

		<-time.After(time.Hour) // no more than a burst is saved up
		for range 5 {
			s.send(ping)
			s.expect(pong)
		}
		for i := range 11 {
			s.send(request("1", "echo", ""))
			if got := s.read(); !strings.Contains(got, "RESOURCE_EXHAUSTED") {
				t.Fatal(i, got)
			}
		}
		s.expectClosed(4429)
	})
}

func TestServer_TheBurstIsTheRateUnlessSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for rate, burst := range map[float64]int{2.5: 3, 0.1: 1, 7: 7} {
			s := dial(t, callDispatcher(), &wsx.ServerOptions{MessageRate: rate})
			for range burst {
				s.send(ping)
				s.expect(pong)
			}
			s.send(ping)
			if got := s.read(); !strings.Contains(got, "RESOURCE_EXHAUSTED") {
				t.Errorf("rate %g: %s", rate, got)
			}
		}
	})
}

// A client that asks and never reads is cut, and costs no more than its queue and the system's
// buffers.
func TestServer_CutsAClientThatDoesNotRead(t *testing.T) {
	d := callDispatcher()
	type flood struct {
		sent int
		err  error
	}
	flooded := make(chan flood, 1)
	wsx.Handle(d, "flood", func(ctx context.Context, _ struct{}) (struct{}, error) {
		payload := jsontext.Value(`"` + strings.Repeat("x", 32<<10) + `"`)
		f := flood{}
		for f.err == nil {
			f.err = wsx.ConnFrom(ctx).Notify(ctx, "flood", payload)
			f.sent += len(payload)
		}
		flooded <- f
		return struct{}{}, f.err
	})
	url := serveTCP(t, d, &wsx.ServerOptions{WriteTimeout: 50 * time.Millisecond})
	slow := dialSocket(t, nil, url)
	other := dialSocket(t, nil, url)
	slow.send(request("1", "flood", ""))
	for range 100 { // meanwhile
		other.send(request("1", "echo", "2"))
		other.expect(response("1", "2"))
	}
	if f := <-flooded; f.sent > 16<<20 {
		t.Errorf("%d bytes were taken: %v", f.sent, f.err)
	}
	other.send(ping)
	other.expect(pong)
}

// With a queue of a few messages every handler waits for room, and each answer comes once there is
// some.
func TestServer_AnswersWaitForRoom(t *testing.T) {
	s := dialSocket(t, nil,
		serveTCP(t, callDispatcher(), &wsx.ServerOptions{MaxQueueMessages: 1, MaxQueueBytes: 100}))
	big := `"` + strings.Repeat("x", 50<<10) + `"`
	go func() {
		for i := range 60 {
			s.send(request(fmt.Sprint(i), "echo", big))
		}
	}()
	seen := map[string]bool{}
	for range 60 {
		seen[s.read()] = true
	}
	for i := range 60 {
		if !seen[response(fmt.Sprint(i), big)] {
			t.Fatalf("no answer to %d", i)
		}
	}
}
