package wsconn_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

func TestConn_CloseDoesTheHandshake(t *testing.T) {
	for name, reading := range map[string]bool{
		"with a reader":       true,
		"with nobody reading": false,
	} {
		t.Run(name, func(t *testing.T) {
			c, p := tcp(t, nil)
			ended := make(chan error, 1)
			if reading {
				go func() { _, err := readAll(c); ended <- err }()
			} else {
				ended <- nil
			}
			if err := c.Queue(t.Context(), text, []byte("before")); err != nil {
				// and never flushed
				t.Error(err)
			}
			closed := make(chan error)
			go func() { closed <- c.Close(websocket.StatusGoingAway, "bye") }()
			if g, err := p.next(); string(g.payload) != "before" {
				t.Errorf("%v, %v", g, err)
			}
			g, err := p.next()
			if g.code() != 1001 || string(g.payload[2:]) != "bye" {
				t.Errorf("%v, %v", g, err)
			}
			if _, err := p.Write(join(frame(fin|opText, noise(9000)), closing(1001, ""))); err !=
				nil {
				t.Error(err)
			}
			if err := <-closed; err != nil {
				t.Error(err)
			}
			if err := <-ended; (err != nil) != reading {
				t.Error(err)
			}
			if left := p.all(); len(left) > 0 {
				t.Errorf("then came %q", left)
			}
			if code, reason, ok := c.Ending(); code != 1001 || reason != "bye" || !ok {
				t.Errorf("Ending %d %q %v", code, reason, ok)
			}
			if err := c.Close(4000, "again"); err != nil {
				t.Error(err)
			}
			if code, _, _ := c.Ending(); code != 1001 {
				t.Errorf("the second Close changed Ending to %d", code)
			}
		})
	}
}

// A Close that takes over from a reader reads on in the frames while the reader says what it has
// found.
func TestConn_CloseTakesOverFromNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		found := make(chan websocket.MessageType, 1)
		go func() {
			typ, err := c.Next(t.Context()) // and no Message
			if err != nil {
				t.Error(err)
			}
			found <- typ
		}()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- c.Close(websocket.StatusNormalClosure, "") }()
		if code, err := p.untilClose(); code != 1000 || err != nil {
			t.Error(code, err)
		}
		p.send(join(frame(fin|opText, "late"), closing(1000, "")))
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if typ := <-found; typ != websocket.MessageText {
			t.Error(typ)
		}
	})
}

func TestConn_CloseWaitsFiveSecondsForTheAnswer(t *testing.T) {
	for name, reading := range map[string]bool{
		"with a reader":       true,
		"with nobody reading": false,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := pipe(t, nil)
				go func() { _, _ = io.Copy(io.Discard, p.br) }()
				if reading {
					go func() { _, _ = readAll(c) }()
				}
				from := time.Now()
				err := c.Close(websocket.StatusNormalClosure, "")
				if !errors.Is(err, context.DeadlineExceeded) && !reading ||
					time.Since(from) != 5*time.Second {
					t.Errorf("%v after %v", err, time.Since(from))
				}
			})
		})
	}
}

func TestConn_CloseGivesUpOnAPeerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		from := time.Now()
		_ = c.Close(websocket.StatusNormalClosure, "") // an error or none: it is over
		if d := time.Since(from); d > 10*time.Second {
			t.Errorf("took %v", d)
		}
		_ = p.Close()
	})
}

func TestConn_CloseNowBreaksOffAClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		go func() { _, _ = io.Copy(io.Discard, p.br) }()
		from := time.Now()
		closed := make(chan error)
		go func() { closed <- c.Close(websocket.StatusNormalClosure, "") }()
		synctest.Wait()
		if err := c.CloseNow(); err != nil {
			t.Error(err)
		}
		if err := <-closed; err != nil || time.Since(from) != 0 {
			t.Errorf("%v after %v", err, time.Since(from))
		}
	})
}

// A context that ends must not break off the Close of another goroutine.
func TestConn_CloseIsNotInterruptedByAReadersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pipe(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ended := make(chan error, 1)
		go func() { _, _, err := c.Read(ctx, nil); ended <- err }()
		synctest.Wait()
		go func() {
			_, _ = p.untilClose()
			<-time.After(2 * time.Second)
			_, _ = p.Write(closing(1000, ""))
		}()
		if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Error(err)
		}
		if err := <-ended; websocket.CloseStatus(err) != websocket.StatusNormalClosure {
			t.Error(err)
		}
	})
}

func TestConn_ABadCloseCodeIsAnError(t *testing.T) {
	for _, code := range []websocket.StatusCode{0, 1006, 5000} {
		c, _ := tcp(t, nil)
		if err := c.Close(code, ""); err == nil {
			t.Errorf("%d is no error", code)
		}
		<-c.Done()
	}
	c, _ := tcp(t, nil)
	if err := c.Close(1000, strings.Repeat("x", 124)); err == nil {
		t.Error("a reason of 124 bytes")
	}
}

// The answer to the peer's close frame goes out also where a goroutine has to write it: under TLS,
// in a pipe, behind a backlog.
func TestConn_ThePeersCloseIsAnswered(t *testing.T) {
	t.Run("pipe", func(t *testing.T) {
		for _, backlog := range []int{0, 3} {
			synctest.Test(t, func(t *testing.T) {
				c, p := pipe(t, nil)
				for range backlog {
					if err := c.Send(t.Context(), text, []byte(noise(60000))); err != nil {
						t.Fatal(err)
					}
				}
				p.send(closing(1000, ""))
				ended := make(chan error, 1)
				go func() { _, err := readAll(c); ended <- err }()
				synctest.Wait()
				if code, err := p.untilClose(); code != 1000 {
					t.Errorf("close %d, %v", code, err)
				}
				if err := <-ended; websocket.CloseStatus(err) != 1000 {
					t.Error(err)
				}
			})
		}
	})
	t.Run("TLS", func(t *testing.T) {
		srv := newServer(t, nil, echo(t))
		srv.StartTLS()
		for range 20 {
			p := dialTLS(t, srv)
			if _, err := p.Write(closing(4000, "done")); err != nil {
				t.Fatal(err)
			}
			if code, err := p.untilClose(); code != 4000 {
				t.Fatalf("close %d, %v", code, err)
			}
		}
	})
	t.Run("never read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, p := pipe(t, nil)
			from := time.Now()
			p.send(closing(1000, ""))
			_, err := readAll(c)
			if websocket.CloseStatus(err) != 1000 || time.Since(from) > 5*time.Second {
				t.Errorf("%v after %v", err, time.Since(from))
			}
			_ = p.Close()
		})
	})
}

// A reset or a broken pipe is not a protocol error.
func TestConn_ABrokenConnectionIsNobodysFault(t *testing.T) {
	c, p := tcp(t, nil)
	if err := p.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	_ = p.Close()
	if _, _, err := c.Read(t.Context(), nil); err == nil ||
		!strings.Contains(err.Error(), "broke") && !strings.Contains(err.Error(), "ended") {
		t.Error(err)
	}
	if code, reason, ok := c.Ending(); ok {
		t.Errorf("Ending %d %q", code, reason)
	}
}

// Whatever is called when, by whom and how often: it ends, soon, and leaves nothing behind
// (TestMain looks).
func TestConn_EndsAtEveryMoment(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 3))
	for round := range 300 {
		opts := &wsconn.Options{
			Compression: round%2 == 0, SendBuffer: []int{0, 2048}[round/2%2],
			WriteTimeout: 50 * time.Millisecond,
		}
		var c *wsconn.Conn
		var p *peer
		if round%4 == 0 {
			c, p = pipe(t, opts)
		} else {
			c, p = tcp(t, opts)
		}
		steps := []func(){
			func() { _ = c.CloseNow() },
			func() { _ = c.CloseNow() },
			func() { _ = c.Close(1000, "") },
			func() { _ = c.Close(4000, "x") },
			func() { _, _ = p.Write(closing(1000, "")) },
			func() { _, _ = p.Write(frame(fin|4, "bad")) },
			func() { _, _ = p.Write(frame(opText, "begun")) },
			func() { _ = p.Close() },
		}
		rnd.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		steps = steps[:1+rnd.IntN(len(steps))]
		var wg sync.WaitGroup
		if round%3 > 0 {
			wg.Go(func() { _, _ = io.Copy(io.Discard, p.br) })
		}
		wg.Go(func() { _, _ = readAll(c) })
		wg.Go(func() {
			for c.Send(context.Background(), text, []byte(noise(3000))) == nil {
			}
		})
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			_ = c.Ping(ctx)
		})
		for _, step := range steps {
			wg.Go(step)
		}
		end := time.After(time.Duration(rnd.IntN(3)) * time.Millisecond)
		wg.Go(func() { <-end; _ = p.Close() })
		wg.Wait()
		<-c.Done()
		_ = c.CloseNow()
		if b, m := c.Queued(); b != 0 || m != 0 {
			t.Fatalf("round %d: queued %d bytes, %d messages", round, b, m)
		}
	}
}

// A closed connection is forgotten: no timer of it goes on.
func TestConn_NothingHoldsAClosedConnection(t *testing.T) {
	made := func() weak.Pointer[wsconn.Conn] {
		// The runtime drops a stopped timer when its time has come, so that is soon.
		c, _ := pipe(t, &wsconn.Options{KeepaliveAfter: time.Millisecond, KeepaliveWait: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		_, _, _ = c.Read(ctx, nil) // given up, and then the context is forgotten too
		_ = c.CloseNow()
		return weak.Make(c)
	}()
	for range 1000 {
		runtime.GC()
		if made.Value() == nil {
			return
		}
		<-time.After(time.Millisecond)
	}
	t.Error("still held")
}
