package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
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

// scripted serves one connection after the other, each with the next script, and refuses with 503
// while gate is closed.
type scripted struct {
	gate    chan struct{} // nil is open
	scripts []func(c *websocket.Conn) error
}

func (s *scripted) serve(t *testing.T) *http.Client {
	t.Helper()
	var mu sync.Mutex
	next := 0
	return wsxtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		n := next
		if n > 0 && s.gate != nil {
			select {
			case <-s.gate:
			default:
				mu.Unlock()
				http.Error(w, "not now", http.StatusServiceUnavailable)
				return
			}
		}
		next++
		mu.Unlock()
		if n >= len(s.scripts) {
			t.Errorf("connection %d was not expected", n)
			http.Error(w, "no more", http.StatusForbidden)
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err == nil {
			err = s.scripts[n](c)
			_ = c.CloseNow()
		}
		if err != nil {
			t.Errorf("connection %d: %v", n, err)
		}
	}))
}

// lose ends a connection without a close frame, once the client reads it.
func lose(c *websocket.Conn) error {
	return errors.Join(say(c, `{"type":"rpc.notify","event":"bye"}`), c.CloseNow())
}

// expectPrefix is expect that looks at the beginning only.
func expectPrefix(c *websocket.Conn, want string) error {
	_, b, err := c.Read(context.Background())
	if err == nil && !strings.HasPrefix(string(b), want) {
		err = fmt.Errorf("the client sent %s, want %s…", b, want)
	}
	return err
}

func TestClient_OfflineQueueKeepsOrderAndBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		s := &scripted{gate, []func(c *websocket.Conn) error{lose, func(c *websocket.Conn) error {
			return errors.Join(
				expect(c, `{"type":"rpc.notify","method":"first","params":1}`),
				expectPrefix(c,
					`{"type":"rpc.request","id":1,"method":"second","params":"x",`+
						`"meta":{"timeout_ms":`),
				expect(c, `{"type":"rpc.notify","method":"third"}`),
				say(c, `{"type":"rpc.response","id":1,"result":2}`),
				expect(c, `{"type":"rpc.notify","method":"later"}`),
				untilClosed(c))
		}}}
		c, err := wsxclient.Dial(t.Context(), "ws://wsx.test/",
			&wsxclient.Options{
				HTTPClient: s.serve(t), Reconnect: true, RetryMax: 3 * time.Second,
				OfflineMessages: 4, OfflineBytes: 100,
			})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		synctest.Wait() // the connection is lost
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		var wg sync.WaitGroup
		defer wg.Wait()
		brief, giveUp := context.WithCancelCause(t.Context())
		bored := errors.New("bored")

		if err := c.Notify(ctx, "first", 1); err != nil {
			t.Error(err)
		}
		wg.Go(func() {
			if got, err := wsxclient.Call[int](ctx, c, "second", "x"); err != nil || got != 2 {
				t.Error(got, err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			_, err := wsxclient.Call[int](brief, c, "given up", nil)
			if ended, ok := errors.AsType[*wsxclient.ClosedError](err); !ok || ended.MayHaveRun ||
				!errors.Is(err, bored) {
				t.Error(err)
			}
		})
		synctest.Wait()
		if err := c.Notify(ctx, "third", nil); err != nil {
			t.Error(err)
		}
		_, tooMany := wsxclient.Call[int](ctx, c, "too many", nil)
		if err := c.Notify(brief, "too many", nil); !errors.Is(err, wsxclient.ErrOfflineFull) ||
			!errors.Is(tooMany, wsxclient.ErrOfflineFull) ||
			!errors.As(err, new(*wsxclient.ClosedError)) {
			t.Error(err, tooMany)
		}
		giveUp(bored)
		synctest.Wait() // there is room again, for a small one
		if err := c.Notify(ctx, "too big", strings.Repeat("x", 100)); !errors.Is(err,
			wsxclient.ErrOfflineFull) {
			t.Error(err)
		}
		if err := c.Notify(brief, "never", nil); !errors.Is(err, bored) {
			t.Error(err)
		}
		if _, err := wsxclient.Call[int](brief, c, "never", nil); !errors.Is(err, bored) {
			t.Error(err)
		}
		close(gate)
		wg.Wait()
		if err := c.Notify(ctx, "later", nil); err != nil {
			t.Error(err)
		}
		synctest.Wait()
	})
}

func TestClient_TellsWhatWaitedInVain(t *testing.T) {
	for name, end := range map[string]func(c *wsxclient.Client, gate chan struct{}){
		"Close":   func(c *wsxclient.Client, _ chan struct{}) { _ = c.Close() },
		"refused": func(c *wsxclient.Client, gate chan struct{}) { close(gate); <-c.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told []string
				gate := make(chan struct{})
				refusals := 0
				lost := wsxtest.Serve(t,
					http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						if refusals++; refusals == 1 {
							c, err := websocket.Accept(w, r, nil)
							if err != nil {
								t.Error(err)
							}
							_ = lose(c)
							return
						}
						<-gate
						http.Error(w, "never", http.StatusForbidden)
					}))
				c, err := wsxclient.Dial(t.Context(), "ws://wsx.test/", &wsxclient.Options{
					HTTPClient: lost, Reconnect: true, OfflineMessages: 3,
					OnDropped: func(method string, params jsontext.Value) {
						told = append(told, method+string(params))
					},
					OnState: func(s wsxclient.State, _ error) { told = append(told, s.String()) },
				})
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				var wg sync.WaitGroup
				wg.Go(func() {
					_, err := wsxclient.Call[int](t.Context(), c, "waits", nil)
					if ended, ok := errors.AsType[*wsxclient.ClosedError](err); !ok ||
						ended.MayHaveRun {
						t.Error(err)
					}
				})
				synctest.Wait()
				if err := errors.Join(c.Notify(t.Context(), "a", 1),
					c.Notify(t.Context(), "b", nil)); err != nil {
					t.Error(err)
				}
				end(c, gate)
				wg.Wait()
				if err := c.Close(); err == nil ||
					!strings.Contains(err.Error(), "2 notifications") {
					t.Error(err)
				}
				if want := []string{
					"connected", "reconnecting", "a1", "b",
					"closed",
				}; !slices.Equal(told, want) {
					t.Error(told)
				}
				if refused, ok := errors.AsType[*wsxclient.HandshakeError](c.Err()); name ==
					"refused" && (!ok || refused.Status != 403) {
					t.Error(c.Err())
				}
				if err := c.Notify(t.Context(), "late", nil); !errors.As(err,
					new(*wsxclient.ClosedError)) || errors.Is(err, wsxclient.ErrOfflineFull) {
					t.Error(err)
				}
				if name == "Close" {
					close(gate)
				}
			})
		})
	}
}

// A queue that is larger than an out-queue by default is sent without waiting, over a pipe that
// holds nothing.
func TestClient_OfflineQueueMayBeLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5000
		var got []string
		s := &scripted{
			make(chan struct{}),
			[]func(c *websocket.Conn) error{lose, func(c *websocket.Conn) error {
				c.SetReadLimit(-1)
				for range n {
					_, b, err := c.Read(context.Background())
					if err != nil {
						return err
					}
					got = append(got, string(b[:min(len(b), 45)]))
				}
				return untilClosed(c)
			}},
		}
		c, err := wsxclient.Dial(t.Context(), "ws://wsx.test/",
			&wsxclient.Options{
				HTTPClient: s.serve(t), Reconnect: true, OfflineMessages: n,
				OfflineBytes: 8 << 20,
			})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		synctest.Wait()
		pad := strings.Repeat("x", 1000)
		for i := range n {
			if err := c.Notify(t.Context(), fmt.Sprintf("n%04d", i), pad); err != nil {
				t.Fatal(err)
			}
		}
		close(s.gate)
		<-time.After(time.Minute)
		for i := range n {
			if i >= len(got) || !strings.Contains(got[i], fmt.Sprintf("n%04d", i)) {
				t.Fatalf("%d came, number %d is wrong", len(got), i)
			}
		}
	})
}

func TestCall_RetriesWhatIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{ran: make(map[string]int)}
		c := wsxtest.New(t, ledgerMethods(l), nil, nil)
		retry := &wsxclient.CallOptions{Retry: true}
		if got, err := wsxclient.CallWith[string](t.Context(), c, "busy", "a", retry); err != nil ||
			got != "a" || l.count("a") != 3 {
			t.Error(got, err, l.count("a"))
		}
		if _, err := wsxclient.Call[string](t.Context(), c, "busy", "b"); !errors.Is(err,
			wsx.NewError(wsx.CodeUnavailable, "later")) || l.count("b") != 1 {
			t.Error(err, l.count("b"))
		}
		if _, err := wsxclient.CallWith[string](t.Context(), c, "none", "b", retry); !errors.Is(err,
			wsx.NewError(wsx.CodeMethodNotFound, "")) {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // one that stays so
		d := wsx.NewDispatcher()
		calls := 0
		wsx.Handle(d, "never",
			func(context.Context, struct{}) (int, error) {
				calls++
				return 0, wsx.NewError(wsx.CodeUnavailable, "")
			})
		c := wsxtest.New(t, d, nil, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := wsxclient.CallWith[int](ctx, c, "never", nil, &wsxclient.CallOptions{Retry: true})
		if !errors.Is(err, context.DeadlineExceeded) ||
			!errors.Is(err, wsx.NewError(wsx.CodeUnavailable, "")) {
			t.Error(err)
		}
		if calls < 120 || calls > 1000 { // an hour of waits of 30 s at most
			t.Errorf("%d calls in an hour", calls)
		}
	})
}

// A server that stops answers UNAVAILABLE and closes with 1001; the next one answers.
func TestCall_RetriesOnTheNextServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{ran: make(map[string]int)}
		d := ledgerMethods(l)
		hung := make(chan struct{}, 1)
		wsx.Handle(d, "hangs.once", func(ctx context.Context, name string) (string, error) {
			if l.run(name) > 1 {
				return name, nil
			}
			hung <- struct{}{}
			<-ctx.Done()
			return "", ctx.Err()
		})
		old, next := wsx.NewServer(d, nil), wsx.NewServer(d, nil)
		defer func() { _ = next.Stop(t.Context()) }()
		stopping := false
		client := wsxtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if stopping {
				next.ServeHTTP(w, r)
			} else {
				old.ServeHTTP(w, r)
			}
		}))
		var states []wsxclient.State
		c, err := wsxclient.Dial(t.Context(), "ws://wsx.test/", &wsxclient.Options{
			HTTPClient: client, Reconnect: true,
			OnState: func(s wsxclient.State, _ error) { states = append(states, s) },
		})
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		call := func(method, name string, retry bool) {
			wg.Go(func() {
				got, err := wsxclient.CallWith[string](t.Context(), c, method, name,
					&wsxclient.CallOptions{Retry: retry})
				if ended, ok := errors.AsType[*wsxclient.ClosedError](err); retry &&
					(err != nil || got != name) || !retry &&
					(!ok || !ended.MayHaveRun || ended.Code != 1001) {
					t.Errorf("%s: %q, %v", name, got, err)
				}
			})
		}
		call("hangs.once", "a", true)
		<-hung
		call("hangs.once", "b", false)
		<-hung
		stopping = true
		wg.Go(func() { _ = old.Stop(context.Background()) })
		synctest.Wait()
		call("run", "c", true) // while it drains
		wg.Wait()
		if l.count("a") != 2 || l.count("b") != 1 || l.count("c") != 1 {
			t.Error(l.ran)
		}
		_ = c.Close()
		if want := []wsxclient.State{
			wsxclient.Connected, wsxclient.Reconnecting,
			wsxclient.Connected, wsxclient.Closed,
		}; !slices.Equal(states, want) {
			t.Error(states)
		}
	})
}

// A call with Retry that waits for a connection ends with its context, and says whether an attempt
// may have run.
func TestCall_RetryEndsWithItsContextOrTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{
			make(chan struct{}),
			[]func(c *websocket.Conn) error{func(c *websocket.Conn) error {
				_, _, err := c.Read(context.Background())
				return errors.Join(err, lose(c))
			}},
		}
		c, err := wsxclient.Dial(t.Context(), "ws://wsx.test/",
			&wsxclient.Options{HTTPClient: s.serve(t), Reconnect: true})
		if err != nil {
			t.Fatal(err)
		}
		retry := &wsxclient.CallOptions{Retry: true}
		for i, ran := range []bool{true, false} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err = wsxclient.CallWith[int](ctx, c, "a", i, retry)
			ended, ok := errors.AsType[*wsxclient.ClosedError](err)
			if !ok || ended.MayHaveRun != ran || !errors.Is(err, context.DeadlineExceeded) ||
				strings.Contains(err.Error(), "may have run") != ran {
				t.Error(err)
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := wsxclient.CallWith[int](t.Context(), c, "a", nil, retry)
			if ended, ok := errors.AsType[*wsxclient.ClosedError](err); !ok || ended.MayHaveRun {
				t.Error(err)
			}
		})
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	})
}
