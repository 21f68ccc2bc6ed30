package asgitest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/asgi/asgitest"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

type order struct {
	ID   int    `json:"id"`
	Item string `json:"item"`
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		w.WriteHeader(http.StatusCreated)
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("GET /problem", func(w http.ResponseWriter, r *http.Request) {
		err := asgi.NewHTTPError(http.StatusConflict, "taken")
		err.Extensions = map[string]any{"by": "me"}
		asgi.WriteError(w, r, err)
	})
	mux.HandleFunc("GET /redirect",
		func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/cookie", http.StatusSeeOther)
		})
	mux.HandleFunc("GET /cookie", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("session")
		if err != nil {
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "7"})
			return
		}
		_, _ = io.WriteString(w, c.Value)
	})
	mux.HandleFunc("GET /who",
		func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, r.Host+" "+r.RemoteAddr)
		})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		fmt.Fprintf(w, "id: %s1\ndata: one\n\n", r.Header.Get("Last-Event-ID"))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(time.Minute):
			_, _ = io.WriteString(w, ": still here\n\nevent: end\ndata: two\n\n")
		case <-asgi.ShutdownContext(r.Context()).Done():
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow() // closed before where it matters
		for {
			kind, data, err := conn.Read(context.WithoutCancel(r.Context()))
			if err != nil {
				return
			}
			if err := conn.Write(r.Context(), kind, data); err != nil {
				return
			}
		}
	})
	return mux
}

// both runs a test in a synctest bubble and outside of one.
func both(t *testing.T, test func(t *testing.T, c *asgitest.Client)) {
	run := func(t *testing.T) {
		app := asgi.New(handler())
		app.Logger = slog.New(slog.DiscardHandler)
		test(t, asgitest.New(t, app))
	}
	t.Run("real time", run)
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, run) })
}

func TestClient_HTTP(t *testing.T) {
	both(t, func(t *testing.T, c *asgitest.Client) {
		var got order
		if c.Post("/echo", order{1, "tea"}).Want(201).JSON(&got); got != (order{1, "tea"}) {
			t.Errorf("got %v", got)
		}
		for name, body := range map[string]any{
			"text": "abc", "bytes": []byte("abc"),
			"reader": strings.NewReader("abc"),
		} {
			resp := c.Send("POST", "/echo", body, http.Header{"content-type": {"x/y"}}).Want(201)
			if string(resp.Body) != "abc" || resp.Header.Get("Content-Type") != "x/y" {
				t.Errorf("%s: %s, %v", name, resp.Body, resp.Header)
			}
		}
		p := c.Get("/problem").Want(409).Problem()
		if p.Status != 409 || p.Title != "Conflict" || p.Detail != "taken" ||
			p.Extensions["by"] != "me" {
			t.Errorf("problem %+v", p)
		}
		if resp := c.Get("/redirect").Want(303); resp.Header.Get("Location") != "/cookie" {
			t.Errorf("headers %v", resp.Header)
		}
		c.Get("/cookie").Want(200)
		if resp := c.Get("/cookie").Want(200); string(resp.Body) != "7" {
			t.Errorf("the cookie was forgotten: %q", resp.Body)
		}
		if resp := c.Get("http://other.test/who").Want(200); !strings.HasPrefix(string(resp.Body),
			"other.test 192.0.2.1:") {
			t.Errorf("got %s", resp.Body)
		}
	})
}

func TestClient_SSE(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := asgi.New(handler())
		app.Logger = slog.New(slog.DiscardHandler)
		c := asgitest.New(t, app)
		begin := time.Now()
		var got []string
		for event, err := range c.SSE(t.Context(), "/events", "4") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(event.ID, event.Name, event.Data, time.Since(begin)))
		}
		if want := "[41messageone0s 41endtwo1m0s]"; fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
		for _, err := range c.SSE(t.Context(), "/who", "") {
			if err == nil {
				t.Error("no event stream, no error")
			}
		}
		for _, err := range c.SSE(t.Context(), "/events", "") {
			if err != nil {
				t.Error(err)
			}
			break // leaves the stream, which must end for Close to be quick
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		for _, last = range c.SSE(ctx, "/events", "") {
			cancel()
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("error %v", last)
		}
		begin = time.Now()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("the shutdown took %v", took)
		}
		for _, err := range c.SSE(t.Context(), "/events", "") {
			if err == nil {
				t.Error("served after Close")
			}
		}
	})
}

func TestClient_WebSocket(t *testing.T) {
	both(t, func(t *testing.T, c *asgitest.Client) {
		conn, _, err := c.Dial(t.Context(), "/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{"hello", strings.Repeat("x", 10_000)} {
			if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := conn.Read(t.Context()); err != nil || string(got) != text {
				t.Errorf("got %.20q, %v", got, err)
			}
		}
		if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
			t.Errorf("close: %v", err)
		}
		if _, resp, err := c.Dial(t.Context(), "/who", &websocket.DialOptions{}); err == nil ||
			resp.StatusCode != 200 {
			t.Errorf("dialled what is no socket: %v", err)
		}
		if _, _, err := c.Dial(t.Context(), "/ws", nil); err != nil {
			// left open: ends with the test
			t.Error(err)
		}
	})
}

func TestClient_WebSocketTakesTheOptions(t *testing.T) {
	seen := make(chan string, 1)
	c := asgitest.New(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get("X-Test") + r.Header.Get("Sec-WebSocket-Protocol")
		w.WriteHeader(http.StatusTeapot)
	}))
	_, resp, err := c.Dial(t.Context(), "/",
		&websocket.DialOptions{
			HTTPHeader:   http.Header{"X-Test": {"a"}},
			Subprotocols: []string{"b"},
		})
	if got := <-seen; err == nil || resp.StatusCode != http.StatusTeapot || got != "ab" {
		t.Errorf("the handshake had %q; %v", got, err)
	}
}

func TestClient_SaysWhatItSendsAndTakes(t *testing.T) {
	var sent http.Header
	c := asgitest.New(t,
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { sent = r.Header }))
	c.Post("/", order{})
	if sent.Get("Content-Type") != "application/json" || sent.Get("Accept-Encoding") != "" {
		// a test sees the answer as it was sent
		t.Errorf("JSON was sent with %v", sent)
	}
	c.Post("/", "text")
	if sent.Get("Content-Type") != "" {
		t.Errorf("a string was sent with %v", sent)
	}
	for _, err := range c.SSE(t.Context(), "/", "7") {
		if err == nil || sent.Get("Accept") != "text/event-stream" ||
			sent.Get("Last-Event-ID") != "7" {
			t.Errorf("a stream was asked for with %v: %v", sent, err)
		}
	}
}

func TestClient_SSETellsWhyThereIsNone(t *testing.T) {
	c := asgitest.New(t, handler())
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/who", "http://\x7f"} {
		said := 0
		for _, err := range c.SSE(t.Context(), path, "") {
			if said++; err == nil {
				t.Errorf("%q: an event", path)
			}
		}
		if said != 1 {
			t.Errorf("%q: %d errors", path, said)
		}
	}
}

// judge stands for the test that a helper is to fail.
type judge struct {
	testing.TB
	mu       sync.Mutex
	ctx      context.Context
	cleanups []func()
	said     string
}

func (j *judge) Helper()                  {}
func (j *judge) Context() context.Context { return j.ctx }
func (j *judge) Cleanup(f func())         { j.cleanups = append(j.cleanups, f) }
func (j *judge) Errorf(f string, a ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.said += fmt.Sprintf(f, a...)
}
func (j *judge) Fatalf(f string, a ...any) { j.Errorf(f, a...); panic(j) }

// verdict is what f makes a test say.
func verdict(ctx context.Context, f func(tb testing.TB)) string {
	j := &judge{ctx: ctx}
	func() {
		defer func() {
			if v := recover(); v != nil && v != any(j) {
				panic(v)
			}
		}()
		f(j)
	}()
	for i := len(j.cleanups) - 1; i >= 0; i-- {
		j.cleanups[i]()
	}
	return j.said
}

func TestClient_FailsTheTest(t *testing.T) {
	broken := errors.New("broken")
	failing := func(start, stop error) *asgi.App {
		app := asgi.New(handler(), asgi.Hooks{
			OnStart: func(context.Context) error { return start },
			OnStop:  func(context.Context) error { return stop },
		})
		app.Logger = slog.New(slog.DiscardHandler)
		return app
	}
	cases := map[string]struct {
		run  func(tb testing.TB)
		want string
	}{
		"app does not start": {
			func(tb testing.TB) { asgitest.New(tb, failing(broken, nil)) },
			"start hooks: broken",
		},
		"app does not stop": {
			func(tb testing.TB) { asgitest.New(tb, failing(nil, broken)) },
			"stop hooks: broken",
		},
		"other status": {func(tb testing.TB) {
			asgitest.New(tb, failing(nil, nil)).Get("/who").Want(404)
		}, "GET /who: status 200, want 404: app.test"},
		"no JSON": {func(tb testing.TB) {
			asgitest.New(tb, failing(nil, nil)).Get("/who").JSON(new(order))
		}, "GET /who: "},
		"unknown members": {func(tb testing.TB) {
			asgitest.New(tb, failing(nil, nil)).Post("/echo", `{"id":1,"more":2}`).JSON(new(order))
		}, "unknown"},
		"no problem": {func(tb testing.TB) {
			asgitest.New(tb, failing(nil, nil)).Get("/who").Problem()
		}, "and no problem"},
		"problem of another status": {func(tb testing.TB) {
			asgitest.New(tb, failing(nil, nil)).Send("POST", "/echo", `{"status":400}`,
				http.Header{"Content-Type": {"application/problem+json"}}).Problem()
		}, "status 400 was sent with 201"},
		"not encodable": {func(tb testing.TB) {
			asgitest.New(tb, failing(nil, nil)).Post("/echo", func() {})
		}, "POST /echo: "},
		"closed": {func(tb testing.TB) {
			c := asgitest.New(tb, failing(nil, nil))
			_ = c.Close()
			c.Get("/who")
		}, "closed"},
		"cut-off body": {func(tb testing.TB) {
			asgitest.New(tb, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "10")
				_, _ = io.WriteString(w, "half")
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			})).Get("/who")
		}, "GET /who: 200, its body: unexpected EOF"},
		"bad method": {func(tb testing.TB) {
			asgitest.New(tb, failing(nil, nil)).Send("BAD METHOD", "/", nil, nil)
		}, "invalid method"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := verdict(t.Context(), c.run); !strings.Contains(got, c.want) {
				t.Errorf("the test says %q, want %q", got, c.want)
			}
		})
	}
}

func ExampleClient() {
	test := func(t testing.TB) {
		c := asgitest.New(t, handler())
		var got order
		c.Post("/echo", order{1, "tea"}).Want(201).JSON(&got)
		fmt.Println(got.Item)
	}
	fmt.Print(verdict(context.Background(), test)) // in place of go test
	// Output: tea
}
