package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// cutConn ends after so many bytes, read and written ones together.
type cutConn struct {
	net.Conn
	left atomic.Int64
}

func (c *cutConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return c.pass(n, err)
}

func (c *cutConn) Write(p []byte) (int, error) {
	if left := c.left.Load(); int64(len(p)) > left {
		n, _ := c.Conn.Write(p[:max(0, left)])
		return c.pass(n+1, nil)
	}
	return c.pass(c.Conn.Write(p))
}

func (c *cutConn) pass(n int, err error) (int, error) {
	if c.left.Add(-int64(n)) < 0 {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return n, err
}

// cutting serves h in memory; its connections are cut after as many bytes as next says, not at all
// after a negative number.
func cutting(t *testing.T, h http.Handler, next func() int64) *http.Client {
	t.Helper()
	client := wsxtest.Serve(t, h)
	transport := client.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		n := next()
		if err != nil || n < 0 {
			return c, err
		}
		cut := &cutConn{Conn: c}
		cut.left.Store(n)
		return cut, nil
	}
	return client
}

// ledger counts what ran on the server, by name.
type ledger struct {
	mu  sync.Mutex
	ran map[string]int
}

func (l *ledger) run(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ran[name]++
	return l.ran[name]
}

func (l *ledger) count(name string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ran[name]
}

// ledgerMethods: "run" counts its params, "busy" is UNAVAILABLE the first two times, "note" is a
// notification.
func ledgerMethods(l *ledger) *wsx.Dispatcher {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "run",
		func(_ context.Context, name string) (string, error) { l.run(name); return name, nil })
	wsx.Handle(d, "busy", func(_ context.Context, name string) (string, error) {
		if l.run(name) <= 2 {
			return "", wsx.NewError(wsx.CodeUnavailable, "later")
		}
		return name, nil
	})
	wsx.HandleNotify(d, "note",
		func(_ context.Context, name string) error { l.run(name); return nil })
	return d
}

// Wherever connections are cut, every call ends once: those with Retry with the answer, the others
// with it or a *ClosedError, whose MayHaveRun is the truth. With the offline queue nothing fails
// without having been sent.
func TestCall_SurvivesCutsAtEveryMoment(t *testing.T) {
	for _, offline := range []int{0, 64} {
		t.Run(fmt.Sprint("offline=", offline), func(t *testing.T) {
			for cut := int64(0); cut < 2500; cut += 9 {
				synctest.Test(t, func(t *testing.T) { testCut(t, cut, offline) })
				if t.Failed() {
					t.Fatalf("cut after %d bytes", cut)
				}
			}
		})
	}
}

func testCut(t *testing.T, cut int64, offline int) {
	random := rand.New(rand.NewPCG(uint64(cut), uint64(offline)))
	l := &ledger{ran: make(map[string]int)}
	server := wsx.NewServer(ledgerMethods(l), nil)
	defer func() { _ = server.Stop(t.Context()) }()
	// the first is made below, once it has been dialled
	cuts := []int64{-1, random.Int64N(600), random.Int64N(1500), -1}
	var first *cutConn
	dialled := 0
	client := cutting(t, server, func() int64 { dialled++; return cuts[min(dialled, len(cuts))-1] })
	transport := client.Transport.(*http.Transport)
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err == nil && first == nil {
			first = &cutConn{Conn: c}
			first.left.Store(1 << 40)
			return first, nil
		}
		return c, err
	}
	c, err := wsxclient.Dial(t.Context(), "ws://wsx.test/",
		&wsxclient.Options{HTTPClient: client, Reconnect: true, OfflineMessages: offline})
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	first.left.Store(cut)

	var wg sync.WaitGroup
	for i := range 12 {
		name, method := fmt.Sprint("call", i), []string{"run", "run", "busy"}[i%3]
		opts := &wsxclient.CallOptions{Retry: i%3 > 0}
		wait := time.Duration(random.Int64N(int64(20 * time.Millisecond)))
		wg.Go(func() {
			<-time.After(wait) // of the bubble's clock: before, during and after the cuts
			got, err := wsxclient.CallWith[string](t.Context(), c, method, name, opts)
			ended, lost := errors.AsType[*wsxclient.ClosedError](err)
			switch {
			case err == nil && got == name:
			case opts.Retry || !lost:
				t.Errorf("%s: %q, %v", name, got, err)
			case !ended.MayHaveRun && l.count(name) > 0:
				t.Errorf("%s ran: %v", name, err)
			case !ended.MayHaveRun && offline > 0:
				t.Errorf("%s was not sent: %v", name, err)
			}
			if n := l.count(name); !opts.Retry && n > 1 || err == nil && n == 0 {
				t.Errorf("%s ran %d times", name, n)
			}
		})
	}
	wg.Wait()
}
