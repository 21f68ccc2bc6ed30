package wsx_test

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
)

func TestServer_ClosesASilentConnection(t *testing.T) {
	for _, tc := range []struct {
		name string
		opts wsx.ServerOptions
		want time.Duration
	}{
		{"default", wsx.ServerOptions{}, 35 * time.Second},
		{
			"as set",
			wsx.ServerOptions{KeepaliveAfter: time.Minute, KeepaliveWait: time.Second},
			61 * time.Second,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, client := serve(t, callDispatcher(), &tc.opts)
				start := time.Now()
				rwc := dialRaw(t, client, "http://wsx.test/")
				code, after := readClose(t, rwc, start)
				if code != 4408 || after != tc.want {
					t.Errorf("closed with %d after %v", code, after)
				}
			})
		})
	}
}

func TestServer_KeepsAConnectionThatAnswersPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := dial(t, callDispatcher(), nil)
		answers := make(chan string)
		go func() { // the client answers pings while it reads
			for {
				_, b, err := s.c.Read(t.Context())
				if err != nil {
					close(answers)
					return
				}
				answers <- string(b)
			}
		}()
		<-time.After(time.Hour)
		s.send(ping)
		if got := <-answers; got != pong {
			t.Error(got)
		}
		_ = s.c.CloseNow()
		<-answers
	})
}

// Also a server that runs as many calls as it may looks after its clients.
func TestServer_NoticesASilentClientAtItsInFlightLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, contexts, release := handing()
		_, client := serve(t, d, &wsx.ServerOptions{MaxInFlight: 1})
		rwc := dialRaw(t, client, "http://wsx.test/")
		for range 2 {
			if _, err := io.WriteString(rwc, masked(request("1", "hand", ""))); err != nil {
				t.Fatal(err)
			}
		}
		go func() { _, _ = io.Copy(io.Discard, rwc) }()
		ctx := <-contexts
		from := time.Now()
		<-ctx.Done()
		if took := time.Since(from); took > 41*time.Second {
			// 25 and 10, and 5 for the close frame's answer
			t.Errorf("after %v", took)
		}
		close(release)
	})
}

// masked is a client's text frame of at most 125 bytes, under a mask of zeros.
func masked(text string) string {
	return "\x81" + string([]byte{0x80 | byte(len(text))}) + "\x00\x00\x00\x00" + text
}
