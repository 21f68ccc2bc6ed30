//go:build unix

package wsconn_test

import (
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// An event that is written at once comes whole, and before what is sent behind it, however little
// of it the socket took at first.
func TestConn_AnEventComesWholeOverASlowSocket(t *testing.T) {
	c, p := tcp(t, &wsconn.Options{SendBuffer: 4096, MaxQueueBytes: -1})
	event, next := strings.Repeat(noise(80_000), 100), noise(300) // more than sockets hold
	for _, payload := range []string{event, next} {
		if err := c.Offer(wsconn.NewFrame(text, []byte(payload)), "tag", 0, false, true); err !=
			nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{event, next} {
		if got, err := p.next(); err != nil || string(got.payload) != want {
			t.Fatalf("%d bytes of %d, %v", len(got.payload), len(want), err)
		}
	}
	if bytes, messages := c.Queued(); bytes != 0 || messages != 0 {
		t.Errorf("%d bytes of %d messages are still queued", bytes, messages)
	}
	_ = c.CloseNow()
}

// An event that nothing waits before leaves nothing behind in the queue, and the way free for the
// next.
func TestConn_AnEventIsWrittenAtOnce(t *testing.T) {
	c, p := tcp(t, nil)
	for range 3 {
		if err := c.Offer(wsconn.NewFrame(text, []byte("event")), "tag", 0, true, true); err !=
			nil {
			t.Fatal(err)
		}
		if bytes, messages := c.Queued(); bytes != 0 || messages != 0 {
			t.Errorf("%d bytes of %d messages are queued", bytes, messages)
		}
		if got, err := p.next(); err != nil || string(got.payload) != "event" {
			t.Fatalf("%q, %v", got.payload, err)
		}
	}
	_ = c.CloseNow()
}
