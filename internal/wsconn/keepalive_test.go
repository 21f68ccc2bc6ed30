package wsconn_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

// arrivals reads frames and reports each with its time since the start.
func arrivals(p *peer, answer bool) <-chan string {
	from := time.Now()
	out := make(chan string, 100)
	go func() {
		defer close(out)
		for {
			g, err := p.next()
			if err != nil {
				return
			}
			if g.first&0xf == opPing && answer {
				_, _ = p.Write(frame(fin|opPong, string(g.payload)))
			}
			out <- g.String() + " at " + time.Since(from).String()
		}
	}()
	return out
}

func collect(c <-chan string) (all []string) {
	for s := range c {
		all = append(all, s)
	}
	return all
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %q, want %q", got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func sleep(d time.Duration) { <-time.After(d) } // the bubble's clock

func TestKeepalive_EndsASilentPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		frames := arrivals(p, false)
		from := time.Now()
		_, err := readAll(c)
		equal(t, collect(frames), []string{"ping at 25s", "close 4408 at 35s"})
		if code, reason, ok := c.Ending(); code != wsconn.StatusKeepalive || !ok {
			t.Errorf("Ending %d %q %v", code, reason, ok)
		}
		if err == nil || time.Since(from) != 40*time.Second {
			// 5 s for the answer to the close frame
			t.Errorf("Read ended after %v with %v", time.Since(from), err)
		}
	})
}

func TestKeepalive_AnyTrafficStartsItAnew(t *testing.T) {
	for name, sent := range map[string][]byte{
		"message": frame(fin|opText, "x"), "pong": frame(fin|opPong, ""),
		"ping": frame(fin|opPing, ""), "fragments": join(frame(opText, "x"), frame(fin|opCont, "")),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := pipe(t, nil)
				frames := arrivals(p, false)
				go func() { _, _ = readAll(c) }()
				sleep(20 * time.Second)
				_, _ = p.Write(sent) // at 20
				sleep(34 * time.Second)
				_, _ = p.Write(sent) // at 54, after the ping at 45
				var want []string
				if name == "ping" {
					want = []string{"pong at 20s", "ping at 45s", "pong at 54s"}
				} else {
					want = []string{"ping at 45s"}
				}
				equal(t, collect(frames), append(want, "ping at 1m19s", "close 4408 at 1m29s"))
				synctest.Wait()
			})
		})
	}
}

func TestKeepalive_LongWaitsPingAgainAfterTraffic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t,
			&wsconn.Options{KeepaliveAfter: time.Second, KeepaliveWait: 10 * time.Second})
		frames := arrivals(p, false)
		go func() { _, _ = readAll(c) }()
		sleep(2 * time.Second)
		_, _ = p.Write(frame(fin|opText, "x")) // at 2, after the ping at 1
		equal(t, collect(frames), []string{"ping at 1s", "ping at 11s", "close 4408 at 21s"})
	})
}

func TestKeepalive_PongsKeepAConnectionForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		frames := arrivals(p, true)
		go func() { _, _ = readAll(c) }()
		sleep(10*time.Minute + time.Second)
		if _, _, ended := c.Ending(); ended {
			t.Error("ended")
		}
		_ = c.CloseNow()
		if n := len(collect(frames)); n != 24 {
			t.Errorf("%d pings in 10 minutes", n)
		}
	})
}

// The clock stands still while the server does not read: what the peer sent meanwhile has not been
// seen.
func TestKeepalive_StandsStillWhileNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		go func() { _, _ = io.Copy(io.Discard, p.br) }()
		read := func(d time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			_, _, err := c.Read(ctx, nil)
			return err
		}
		for range 6 { // 30 s of reading, and the ping with them, in 10 minutes
			if err := read(5 * time.Second); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			sleep(100 * time.Second)
		}
		if _, _, ended := c.Ending(); ended {
			t.Fatal("ended while nobody read")
		}
		if err := read(time.Minute); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the silence goes on, but %v", err)
		}
		if code, _, _ := c.Ending(); code != wsconn.StatusKeepalive {
			t.Errorf("Ending %d", code)
		}
		_ = p.Close()
	})
}

// Reads that give up must not start the silence anew.
func TestKeepalive_CountsAcrossReadsThatGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		frames := arrivals(p, false)
		go func() {
			for {
				ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
				_, _, err := c.Read(ctx, nil)
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) {
					return
				}
			}
		}()
		equal(t, collect(frames), []string{"ping at 25s", "close 4408 at 35s"})
	})
}

func TestKeepalive_AnAnsweredCloseEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		from := time.Now()
		go func() {
			_, _ = p.untilClose()
			_, _ = p.Write(closing(4408, ""))
		}()
		_, err := readAll(c)
		if websocket.CloseStatus(err) != wsconn.StatusKeepalive ||
			time.Since(from) != 35*time.Second {
			t.Errorf("%v after %v", err, time.Since(from))
		}
	})
}

func TestKeepalive_MayBeOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, &wsconn.Options{KeepaliveAfter: -1})
		frames := arrivals(p, false)
		go func() { _, _ = readAll(c) }()
		sleep(time.Hour)
		_ = c.CloseNow()
		equal(t, collect(frames), nil)
	})
}

func TestConn_PingWaitsForItsPong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		go func() { _, _ = readAll(c) }()
		frames := arrivals(p, true)
		if err := c.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		<-frames
		_ = c.CloseNow()
		if err := c.Ping(t.Context()); err == nil {
			t.Error("a ping on a closed connection")
		}
	})
}

// coder/websocket closes the connection when a ping's context ends at the wrong moment.
func TestConn_APingThatGivesUpHarmsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		go func() { _, _ = readAll(c) }()
		frames := arrivals(p, false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for range 20 {
			if err := c.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}
		synctest.Wait()
		if _, _, ended := c.Ending(); ended {
			t.Error("ended")
		}
		done := make(chan error)
		go func() { done <- c.Ping(context.Background()) }()
		synctest.Wait()
		_ = c.CloseNow()
		if err := <-done; err == nil {
			t.Error("a pong from nowhere")
		}
		collect(frames)
	})
}
