package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

type point struct {
	X int `json:"x"`
	Y int `json:"y"`
}

// methods are those of most tests here.
func methods() *wsx.Dispatcher {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "echo",
		func(_ context.Context, in jsontext.Value) (jsontext.Value, error) { return in, nil })
	wsx.Handle(d, "mirror",
		func(_ context.Context, p point) (point, error) { return point{p.Y, p.X}, nil })
	wsx.Handle(d, "fail", func(context.Context, struct{}) (int, error) {
		return 0, &wsx.Error{
			Code: "NO_STOCK", Message: "none left",
			Details: map[string]int{"n": 0},
		}
	})
	wsx.Handle(d, "wait",
		func(ctx context.Context, _ struct{}) (struct{}, error) {
			<-ctx.Done()
			return struct{}{}, ctx.Err()
		})
	wsx.Handle(d, "notifyMe", func(ctx context.Context, n int) (int, error) {
		for i := range n {
			if err := wsx.ConnFrom(ctx).Notify(ctx, "tick", i); err != nil {
				return i, err
			}
		}
		return n, nil
	})
	return d
}

// fake serves one connection with a script and returns a client of it.
func fake(t *testing.T, opts *wsxclient.Options,
	script func(c *websocket.Conn) error,
) *wsxclient.Client {
	t.Helper()
	if opts == nil {
		opts = &wsxclient.Options{}
	}
	done := make(chan error, 1)
	opts.HTTPClient = wsxtest.Serve(t,
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err == nil {
				err = script(c)
				_ = c.CloseNow()
			}
			done <- err
		}))
	c, err := wsxclient.Dial(t.Context(), "ws://fake.test/", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c
}

// expect reads a message of the client and compares it.
func expect(c *websocket.Conn, want string) error {
	_, b, err := c.Read(context.Background())
	if err == nil && string(b) != want {
		err = fmt.Errorf("the client sent %s, want %s", b, want)
	}
	return err
}

func say(c *websocket.Conn, text string) error {
	return c.Write(context.Background(), websocket.MessageText, []byte(text))
}

// untilClosed reads on until the client is gone.
func untilClosed(c *websocket.Conn) error {
	var err error
	for err == nil {
		_, _, err = c.Read(context.Background())
	}
	return nil
}

func TestCall_DecodesAnyResult(t *testing.T) {
	c := wsxtest.New(t, methods(), nil, nil)
	if got, err := wsxclient.Call[point](t.Context(), c, "mirror", point{1, 2}); err != nil ||
		got != (point{2, 1}) {
		t.Error(got, err)
	}
	if got, err := wsxclient.Call[*point](t.Context(), c, "echo",
		map[string]any{"x": 1, "unknown": true}); err != nil || got.X != 1 {
		t.Error(got, err)
	}
	if got, err := wsxclient.Call[jsontext.Value](t.Context(), c, "echo",
		jsontext.Value(`{"b":1.0,"a":[]}`)); err != nil || string(got) != `{"b":1.0,"a":[]}` {
		t.Error(string(got), err)
	}
	if got, err := wsxclient.Call[string](t.Context(), c, "echo", "é\u2028\n"); err != nil ||
		got != "é\u2028\n" {
		t.Error(got, err)
	}
	if got, err := wsxclient.Call[[]int](t.Context(), c, "echo", []int{1, 2}); err != nil ||
		len(got) != 2 {
		t.Error(got, err)
	}
	for _, params := range []any{nil, 5} {
		if got, err := wsxclient.Call[jsontext.Value](t.Context(), c, "echo", params); err != nil ||
			string(got) != map[any]string{nil: "null", 5: "5"}[params] {
			t.Error(string(got), err)
		}
	}
	if _, err := wsxclient.Call[struct{}](t.Context(), c, "echo", nil); err != nil {
		t.Error(err)
	}
	if got, err := wsxclient.Call[any](t.Context(), c, "echo", nil); err != nil || got != nil {
		t.Error(got, err)
	}
	if got, err := wsxclient.Call[int](t.Context(), c, "echo", "text"); err == nil || got != 0 {
		t.Error("decoded text into an int")
	}
	if _, err := wsxclient.Call[int](t.Context(), c, "echo", func() {}); err == nil {
		t.Error("encoded a function")
	}
	if _, err := wsxclient.Call[point](t.Context(), c, "mirror", point{3, 4}); err != nil {
		t.Error(err) // none of it ended the connection
	}
}

func TestCall_TakesHugeAndDeepResults(t *testing.T) {
	c := wsxtest.New(t, methods(), &wsx.ServerOptions{MaxMessage: 2 << 20, MaxDepth: 6000}, nil)
	for name, value := range map[string]jsontext.Value{
		"huge": jsontext.Value(`"` + strings.Repeat("x", 1000<<10) + `"`),
		"deep": jsontext.Value(strings.Repeat("[", 5000) + strings.Repeat("]", 5000)),
	} {
		if got, err := wsxclient.Call[jsontext.Value](t.Context(), c, "echo", value); err != nil ||
			string(got) != string(value) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	over := jsontext.Value(`"` + strings.Repeat("x", 1<<20) + `"`)
	_, err := wsxclient.Call[jsontext.Value](t.Context(), c, "echo", over)
	if !errors.Is(err, wsxclient.ErrTooBig) || c.Err() != nil {
		t.Errorf("a result over MaxMessage: %v", err)
	}
	c = wsxtest.New(t, methods(), &wsx.ServerOptions{MaxMessage: 2 << 20},
		&wsxclient.Options{MaxMessage: -1})
	if got, err := wsxclient.Call[jsontext.Value](t.Context(), c, "echo", over); err != nil ||
		string(got) != string(over) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestCall_ReturnsTheServersErrors(t *testing.T) {
	c := wsxtest.New(t, methods(), nil, nil)
	_, err := wsxclient.Call[int](t.Context(), c, "fail", nil)
	coded, ok := errors.AsType[*wsx.Error](err)
	if !ok || coded.Code != "NO_STOCK" || coded.Message != "none left" {
		t.Fatal(err)
	}
	if details, ok := coded.Details.(jsontext.Value); !ok || string(details) != `{"n":0}` {
		t.Errorf("%T %v", coded.Details, coded.Details)
	}
	_, err = wsxclient.Call[int](t.Context(), c, "none", nil)
	if !errors.Is(err, wsx.NewError(wsx.CodeMethodNotFound, "")) {
		t.Error(err)
	}
	_, err = wsxclient.Call[int](t.Context(), c, "mirror", 5)
	if coded, ok := errors.AsType[*wsx.Error](err); !ok || coded.Code != wsx.CodeInvalidParams ||
		coded.StatusCode() != 422 {
		t.Error(err)
	}
}

func TestCall_CancelledLeavesTheConnection(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	bored := errors.New("bored")
	c := fake(t,
		&wsxclient.Options{OnNotify: func(context.Context, string, jsontext.Value) {
			cancel(bored)
		}}, func(c *websocket.Conn) error {
			return errors.Join(
				expect(c, `{"type":"rpc.request","id":1,"method":"slow"}`),
				say(c, `{"type":"rpc.notify","event":"got it"}`),
				expect(c, `{"type":"rpc.cancel","id":1}`),
				// which nobody waits for
				say(c,
					`{"type":"rpc.error","id":1,"error":{"code":"CANCELLED",`+
						`"message":"cancelled"}}`),
				expect(c, `{"type":"rpc.request","id":2,"method":"next","params":[1]}`),
				say(c, `{"type":"rpc.response","id":2,"result":"done"}`),
				untilClosed(c))
		})
	if _, err := wsxclient.Call[int](ctx, c, "slow", nil); !errors.Is(err, bored) {
		t.Error(err)
	}
	if _, err := wsxclient.Call[int](ctx, c, "never sent", nil); !errors.Is(err, bored) {
		t.Error(err)
	}
	if got, err := wsxclient.Call[string](t.Context(), c, "next", []int{1}); err != nil ||
		got != "done" {
		t.Error(got, err)
	}
}

func TestCall_SendsItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := fake(t, nil, func(c *websocket.Conn) error {
			return errors.Join(
				expect(c,
					`{"type":"rpc.request","id":1,"method":"slow","params":1,`+
						`"meta":{"timeout_ms":1500}}`),
				say(c,
					`{"type":"rpc.error","id":1,"error":{"code":"DEADLINE_EXCEEDED",`+
						`"message":"too slow"}}`),
				expect(c,
					`{"type":"rpc.request","id":2,"method":"slow","meta":{"timeout_ms":1500}}`),
				expect(c, `{"type":"rpc.cancel","id":2}`),
				untilClosed(c))
		})
		for _, params := range []any{1, nil} {
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			defer cancel()
			start := time.Now()
			_, err := wsxclient.Call[int](ctx, c, "slow", params)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			if took := time.Since(start); params == nil && took != 1500*time.Millisecond {
				t.Error(took)
			}
		}
	})
}

func TestCall_FailsOnAnAnswerThatCannotBeRead(t *testing.T) {
	c := fake(t, nil, func(c *websocket.Conn) error {
		return errors.Join(
			expect(c, `{"type":"rpc.request","id":1,"method":"a"}`),
			say(c, `{"type":"rpc.response","id":1}`),
			expect(c, `{"type":"rpc.request","id":2,"method":"a"}`),
			say(c, `{"type":"rpc.error","id":2,"error":"text"}`),
			expect(c, `{"type":"rpc.request","id":3,"method":"a"}`),
			// None of these is an answer to it.
			say(c, `rubbish`), say(c, `{"jsonrpc":"2.0","id":3,"result":0}`),
			say(c, `{"type":"rpc.response","id":"3","result":0}`),
			say(c, `{"type":"rpc.response","id":99,"result":0}`),
			say(c, `{"type":"rpc.response","id":-3,"result":0}`),
			say(c, `{"type":"rpc.error","id":null,"error":{"code":"A","message":"b"}}`),
			say(c, `{"type":"rpc.what","id":3}`),
			say(c, `{"type":"rpc.subscribe","id":3,"channel":"a"}`),
			say(c, `{"type":"rpc.response","id":3,"result":7}`),
			untilClosed(c))
	})
	for range 2 {
		if _, err := wsxclient.Call[int](t.Context(), c, "a", nil); err == nil {
			t.Error("took what is no answer for one")
		}
	}
	if got, err := wsxclient.Call[int](t.Context(), c, "a", nil); err != nil || got != 7 {
		t.Error(got, err)
	}
}

func TestClient_TakesNoOtherAnswerForASubscription(t *testing.T) {
	c := fake(t, nil, func(c *websocket.Conn) error {
		return errors.Join(
			expect(c, `{"type":"rpc.subscribe","id":1,"channel":"a"}`),
			say(c, `{"type":"rpc.response","id":1,"result":["s"]}`),
			untilClosed(c))
	})
	for event, err := range wsxclient.Subscribe[int](t.Context(), c, "a", nil) {
		if err == nil {
			t.Error("took what is no subscription for one", event)
		}
		return
	}
	t.Error("it ended without an error")
}

// The peer need not wait for a handler that does not look at its context.
func TestClient_AnswersForACancelledHandlerAtOnce(t *testing.T) {
	begun, over, answered := make(chan struct{}), make(chan struct{}), make(chan struct{})
	d := wsx.NewDispatcher()
	wsx.Handle(d, "deaf", func(context.Context, struct{}) (int, error) {
		close(begun)
		<-over
		return 1, nil
	})
	fake(t, &wsxclient.Options{Methods: d}, func(c *websocket.Conn) error {
		err := say(c, `{"type":"rpc.request","id":"r","method":"deaf"}`)
		<-begun
		err = errors.Join(err, say(c, `{"type":"rpc.cancel","id":"r"}`),
			expect(c,
				`{"type":"rpc.error","id":"r","error":{"code":"CANCELLED","message":"cancelled"}}`))
		close(answered)
		return errors.Join(err, untilClosed(c))
	})
	<-answered
	close(over)
}

func TestClient_AnswersTheServersRequests(t *testing.T) {
	answered := make(chan struct{})
	fake(t, nil, func(c *websocket.Conn) error {
		defer close(answered)
		return errors.Join(
			say(c, `{"type":"rpc.ping","id":"p"}`), expect(c, `{"type":"rpc.pong","id":"p"}`),
			say(c, `{"type":"rpc.request","id":"r","method":"m"}`),
			expect(c,
				`{"type":"rpc.error","id":"r","error":{"code":"METHOD_NOT_FOUND","message":"this `+
					`client has no methods"}}`))
	})
	<-answered
}

func TestClient_NotifiesTheServer(t *testing.T) {
	d := methods()
	got := make(chan string, 4)
	wsx.HandleNotify(d, "seen",
		func(_ context.Context, in jsontext.Value) error { got <- string(in); return nil })
	c := wsxtest.New(t, d, nil, nil)
	if err := errors.Join(c.Notify(t.Context(), "seen", point{1, 2}),
		c.Notify(t.Context(), "none", nil)); err != nil {
		t.Error(err)
	}
	if text := <-got; text != `{"x":1,"y":2}` {
		t.Error(text)
	}
	if err := c.Notify(t.Context(), "seen", func() {}); err == nil {
		t.Error("sent a function")
	}
}

func TestDial_TellsHowItWasRefused(t *testing.T) {
	s := wsx.NewServer(methods(), &wsx.ServerOptions{RequireOrigin: true})
	client := wsxtest.Serve(t, s)
	_, err := wsxclient.Dial(t.Context(), "ws://wsx.test/", &wsxclient.Options{HTTPClient: client})
	refused, ok := errors.AsType[*wsxclient.HandshakeError](err)
	if !ok || refused.StatusCode() != 403 ||
		!strings.Contains(string(refused.Body), `"status":403`) ||
		!strings.Contains(err.Error(), "403") || refused.Unwrap() == nil {
		t.Fatalf("%v %+v", err, refused)
	}
	c, err := wsxclient.Dial(t.Context(), "ws://wsx.test/",
		&wsxclient.Options{HTTPClient: client, Header: http.Header{"Origin": {"http://wsx.test"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}

	gone := httptest.NewServer(s)
	gone.Close()
	if _, err := wsxclient.Dial(t.Context(), gone.URL, nil); err == nil ||
		errors.As(err, &refused) {
		t.Error(err)
	}
	if _, err := wsxclient.Dial(t.Context(), "ftp://wsx.test/", nil); err == nil {
		t.Error("dialled ftp")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	mute := wsxtest.Serve(t,
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	if _, err := wsxclient.Dial(ctx, "ws://wsx.test/",
		&wsxclient.Options{HTTPClient: mute}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestClient_Stress(t *testing.T) {
	for name, compression := range map[string]bool{"plain": false, "compressed": true} {
		t.Run(name, func(t *testing.T) {
			c := wsxtest.New(t, methods(),
				&wsx.ServerOptions{Compression: compression, Logger: slog.New(slog.DiscardHandler)},
				&wsxclient.Options{Compression: compression})
			pad := strings.Repeat("pad ", 200)
			var wg sync.WaitGroup
			for i := range 32 {
				wg.Go(func() {
					for j := range 8 {
						want := fmt.Sprint(i, j, pad)
						if got, err := wsxclient.Call[string](t.Context(), c, "echo", want); err !=
							nil || got != want {
							t.Errorf("%q, %v", got, err)
						}
						ctx, cancel := context.WithCancel(t.Context())
						go cancel()
						if _, err := wsxclient.Call[struct{}](ctx, c, "wait", nil); !errors.Is(err,
							context.Canceled) {
							t.Error(err)
						}
						if err := c.Notify(t.Context(), "echo", j); err != nil {
							t.Error(err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
