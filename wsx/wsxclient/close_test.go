package wsxclient_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// expectEnded checks that everything fails now with that close code.
func expectEnded(t *testing.T, c *wsxclient.Client, code int) {
	t.Helper()
	<-c.Done()
	_, callErr := wsxclient.Call[int](t.Context(), c, "echo", 1)
	for _, err := range []error{c.Err(), callErr, c.Notify(t.Context(), "echo", 1)} {
		ended, ok := errors.AsType[*wsxclient.ClosedError](err)
		if !ok || ended.Code != code || ended.Error() == "" {
			t.Errorf("%T %v, want code %d", err, err, code)
		}
	}
}

func TestClient_CloseFailsWhatIsUnderWay(t *testing.T) {
	d := methods()
	arrived := make(chan struct{}, 8)
	wsx.Handle(d, "hang",
		func(ctx context.Context, _ struct{}) (int, error) {
			arrived <- struct{}{}
			<-ctx.Done()
			return 0, nil
		})
	c := wsxtest.New(t, d, nil, nil)
	if c.Err() != nil {
		t.Error(c.Err())
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			_, err := wsxclient.Call[int](t.Context(), c, "hang", nil)
			if ended, ok := errors.AsType[*wsxclient.ClosedError](err); !ok || ended.Code != 1000 {
				t.Error(err)
			}
		})
	}
	for range 8 {
		<-arrived
	}
	for range 4 {
		wg.Go(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	expectEnded(t, c, 1000)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

func TestClient_TellsHowTheServerEndedIt(t *testing.T) {
	for name, tc := range map[string]struct {
		script func(c *websocket.Conn) error
		code   int
	}{
		"application code": {
			func(c *websocket.Conn) error { return c.Close(4401, "who are you") },
			4401,
		},
		"going away": {func(c *websocket.Conn) error { return c.Close(1001, "") }, 1001},
		"vanished": {func(c *websocket.Conn) error {
			_, _, err := c.Read(context.Background())
			return errors.Join(err, c.CloseNow())
		}, 1006},
		"not UTF-8": {func(c *websocket.Conn) error {
			return errors.Join(say(c, "\"\xff\""), untilClosed(c))
		}, 1007},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := fake(t, nil, tc.script)
				_ = c.Notify(t.Context(), "hello", nil) // unless it has ended already
				expectEnded(t, c, tc.code)
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestClient_EndsWithTheServersStop(t *testing.T) {
	for range 20 {
		s := wsx.NewServer(methods(), nil)
		client := wsxtest.Serve(t, s)
		c, err := wsxclient.Dial(t.Context(), "ws://wsx.test/",
			&wsxclient.Options{HTTPClient: client})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if err := c.Close(); err != nil { // both at once
				t.Error(err)
			}
		})
		wg.Wait()
		<-c.Done()
		if ended, ok := errors.AsType[*wsxclient.ClosedError](c.Err()); !ok || ended.Code != 1000 &&
			ended.Code != 1001 {
			t.Error(c.Err())
		}
	}
}

func TestClient_EndsWhenTheServerFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silence := make(chan struct{})
		start := time.Now()
		c := fake(t, nil, func(c *websocket.Conn) error {
			c.CloseRead(context.Background())
			<-silence
			return nil
		})
		<-time.After(time.Hour) // a server that answers pings keeps it
		if c.Err() != nil {
			t.Fatal(c.Err(), time.Since(start))
		}
		close(silence)
		expectEnded(t, c, 1006)
	})
	synctest.Test(t, func(t *testing.T) {
		for opts, want := range map[*wsxclient.Options]time.Duration{
			// in memory a ping that nobody reads cannot be written
			{}: 55 * time.Second,
			{KeepaliveAfter: 10 * time.Second, WriteTimeout: 5 * time.Second}: 15 * time.Second,
		} {
			c := fake(t, opts,
				func(*websocket.Conn) error { <-time.After(time.Minute); return nil })
			start := time.Now()
			<-c.Done()
			if took := time.Since(start); took != want {
				t.Errorf("noticed after %v: %v", took, c.Err())
			}
		}
	})
}

// A connection that is ending, to a server that does not answer the close frame, holds no call
// longer than its context.
func TestCall_HeedsItsContextWhileTheConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake(t, nil, func(*websocket.Conn) error { <-time.After(time.Minute); return nil })
		closed := make(chan error, 1)
		go func() { closed <- c.Close() }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := wsxclient.Call[int](ctx, c, "late", nil); err == nil {
			t.Error("called")
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("took %v", took)
		}
		t.Log(<-closed)
		expectEnded(t, c, 1000)
	})
}

func TestClient_NotificationsComeInOrderAndMayCall(t *testing.T) {
	const notes = 250
	var c *wsxclient.Client
	ready, done := make(chan struct{}), make(chan struct{})
	next := 0
	c = wsxtest.New(t, methods(), nil,
		&wsxclient.Options{
			OnNotify: func(ctx context.Context, event string, payload jsontext.Value) {
				<-ready
				got, err := wsxclient.Call[int](ctx, c, "echo", payload)
				if err != nil || event != "tick" || got != next {
					t.Errorf("%s %d, want %d: %v", event, got, next, err)
				}
				if next++; next == notes {
					close(done)
				}
			},
		})
	close(ready)
	if n, err := wsxclient.Call[int](t.Context(), c, "notifyMe", notes); err != nil || n != notes {
		t.Error(n, err)
	}
	<-done
}

func TestClient_IgnoresNotificationsThatNobodyWants(t *testing.T) {
	c := wsxtest.New(t, methods(), nil, nil)
	if n, err := wsxclient.Call[int](t.Context(), c, "notifyMe", 1000); err != nil || n != 1000 {
		t.Error(n, err)
	}
}

func TestNotify_WaitsForRoomAsLongAsItsContext(t *testing.T) {
	t.Run("plain", func(t *testing.T) { testRoom(t, nil) })
	t.Run("offline", func(t *testing.T) {
		testRoom(t, &wsxclient.Options{Reconnect: true, OfflineMessages: 1, OfflineBytes: 1})
	})
}

func testRoom(t *testing.T, opts *wsxclient.Options) {
	synctest.Test(t, func(t *testing.T) {
		read := make(chan struct{})
		c := fake(t, opts,
			func(c *websocket.Conn) error { <-read; c.SetReadLimit(-1); return untilClosed(c) })
		big := make([]byte, 600<<10)
		impatient := errors.New("impatient")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, impatient)
		defer cancel()
		var errs []error
		for range 3 { // in the pipe, in the queue, and waiting
			errs = append(errs, c.Notify(ctx, "big", big))
		}
		if err := errors.Join(errs...); !errors.Is(err, impatient) {
			t.Error(err)
		}
		close(read)
		synctest.Wait()
		if c.Err() != nil {
			t.Error("the connection came to harm:", c.Err())
		}
	})
}

func TestHandshakeError_StandsForItsStatus(t *testing.T) {
	e := &wsxclient.HandshakeError{Status: http.StatusServiceUnavailable}
	if e.StatusCode() != 503 ||
		e.Error() != "wsx: the server answered the handshake with 503 Service Unavailable" {
		t.Error(e)
	}
	if text := (&wsxclient.ClosedError{Code: 1000}).Error(); text !=
		"wsx: connection closed (1000)" {
		t.Error(text)
	}
}
