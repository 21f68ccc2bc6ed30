package asgi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	jsonv2 "github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/asgi/asgitest"
)

// statuses answers with the status that the query names.
func statuses(w http.ResponseWriter, r *http.Request) {
	var status int
	if _, err := fmt.Sscan(r.URL.RawQuery, &status); err != nil {
		return // nothing: net/http answers 200
	}
	w.WriteHeader(status)
}

func TestApp_StatsCountsRequestsByStatus(t *testing.T) {
	app := newApp(statuses)
	const each = 1000
	var wg sync.WaitGroup
	for i := range each {
		wg.Go(func() {
			query := ""
			switch {
			case i < 10:
				query = "503"
			case i < 30:
				query = "404"
			case i < 35:
				query = "499"
			case i < 75:
				query = "303"
			case i < 500:
				query = "201"
			}
			app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?"+query, nil))
		})
	}
	for range 100 { // while it is counted, nothing falls and nothing is negative
		if s := app.Stats(); s.Requests.InFlight < 0 || s.Requests.Total > each {
			t.Errorf("meanwhile %+v", s.Requests)
		}
	}
	wg.Wait()
	got := app.Stats().Requests
	if got.Latency.Count != each || got.Latency.Sum <= 0 {
		t.Errorf("latency %+v", got.Latency)
	}
	got.Latency = asgi.RequestStats{}.Latency
	want := asgi.RequestStats{
		Total: each, Status2xx: 925, Status3xx: 40, Status4xx: 25, Status5xx: 10,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestApp_StatsCountsPanicsOnceAndAbortsApart(t *testing.T) {
	app := newApp(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			panic("before the answer")
		case "/late":
			w.WriteHeader(http.StatusAccepted)
			panic("within the answer")
		case "/abort":
			w.WriteHeader(http.StatusAccepted)
			panic(http.ErrAbortHandler)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		c := asgitest.New(t, app)
		const each = 20
		for range each {
			for _, path := range []string{"/panic", "/late", "/abort", "/fine"} {
				// not a GET, which http.Client sends again
				resp, err := c.HTTP.Post(asgitest.BaseURL+path, "text/plain", nil)
				if err == nil {
					_ = resp.Body.Close()
				}
				if (err == nil) != (path == "/fine") {
					t.Errorf("%s: %v", path, err)
				}
			}
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		s := app.Stats()
		if s.Panics != 2*each || s.Requests.Aborted != 3*each || s.Requests.Total != 4*each ||
			s.Requests.Status5xx != each || s.Requests.Status2xx != 3*each ||
			s.Requests.InFlight != 0 || s.Requests.Latency.Count != 4*each {
			t.Errorf("%+v", s)
		}
	})
}

// Around an App that is mounted a panic is for the middleware outside, with the stack of where it
// happened.
func TestApp_MountedLetsPanicsPass(t *testing.T) {
	app := newApp(func(http.ResponseWriter, *http.Request) { panic(errB) })
	var caught any
	func() {
		defer func() { caught = recover() }()
		app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	s := app.Stats()
	if caught != errB || s.Panics != 1 || s.Requests.Status5xx != 1 || s.Requests.Aborted != 1 {
		t.Errorf("caught %v, %+v", caught, s)
	}
}

func TestApp_StatsTellsWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		app := newApp(func(http.ResponseWriter, *http.Request) { <-release })
		c := asgitest.New(t, app)
		const each = 5
		var wg sync.WaitGroup
		for range each {
			wg.Go(func() {
				resp, err := c.HTTP.Get(asgitest.BaseURL)
				if err != nil {
					t.Error(err)
					return
				}
				_ = resp.Body.Close()
			})
		}
		synctest.Wait()
		s := app.Stats()
		if s.Requests.InFlight != each || s.Requests.Total != 0 ||
			s.Connections != (asgi.OpenStats{Open: each, Total: each}) {
			t.Errorf("%+v", s)
		}
		close(release)
		wg.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		s = app.Stats()
		if s.Requests.InFlight != 0 || s.Requests.Total != each ||
			s.Connections != (asgi.OpenStats{Total: each}) {
			t.Errorf("afterwards %+v", s)
		}
	})
}

// ticks is a stream without an end.
func ticks(ctx context.Context, _ string) iter.Seq2[asgi.Event, error] {
	return func(yield func(asgi.Event, error) bool) {
		for yield(asgi.Event{Data: "tick"}, nil) {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				return
			}
		}
	}
}

func TestApp_StatsCountsStreamsWhoseClientsVanish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp(asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
			switch r.URL().Path {
			case "/events":
				return asgi.SSE(ticks, nil), nil
			case "/refused":
				return nil, asgi.NewHTTPError(http.StatusForbidden, "")
			}
			return asgi.StreamFunc("text/plain", func(ctx context.Context, w io.Writer) error {
				if _, err := io.WriteString(w, "begun"); err != nil {
					return err
				}
				<-ctx.Done()
				return context.Cause(ctx)
			}), nil
		}))
		c := asgitest.New(t, app)
		const each = 50
		ctx, vanish := context.WithCancel(t.Context())
		for i := range each {
			for _, path := range []string{"/events", "/stream", "/refused"} {
				who := ctx
				if i < 10 {
					who = t.Context()
				}
				r := c.Request("GET", path, nil, nil).WithContext(who)
				resp, err := c.HTTP.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				if path == "/refused" {
					_ = resp.Body.Close()
				}
			}
		}
		want := func(open, over int) {
			t.Helper()
			synctest.Wait()
			s := app.Stats()
			if e := (asgi.OpenStats{Open: open, Total: each}); s.SSE != e || s.Streams != e {
				t.Errorf("SSE %+v, streams %+v, want %+v", s.SSE, s.Streams, e)
			}
			if s.Requests.InFlight != 2*open || s.Requests.Total != uint64(each+2*over) ||
				s.Requests.Latency.Count != each {
				t.Errorf("%+v", s.Requests)
			}
		}
		want(each, 0)
		vanish()
		<-time.After(2 * time.Second) // a tick finds out that nobody takes it
		want(10, each-10)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		want(0, each)
	})
}

func TestApp_StatsCountsWebSockets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp(asgi.HandleWebSocket(func(ctx context.Context, ws *asgi.WebSocket) error {
			switch ws.Request().URL().Path {
			case "/denied":
				return nil
			case "/early":
				panic("before Accept")
			}
			if err := ws.Accept(); err != nil {
				return err
			}
			if ws.Request().URL().Path == "/late" {
				panic("after Accept")
			}
			return echo(ctx, ws)
		}, nil))
		c := asgitest.New(t, app)
		var conns []*websocket.Conn
		for range 10 {
			// what is denied comes last: http.Client sends again what breaks on a connection that
			// it uses again
			for _, path := range []string{"/late", "/echo", "/early", "/denied"} {
				conn, _, err := c.Dial(t.Context(), path, nil)
				if (err == nil) != (path == "/late" || path == "/echo") {
					t.Errorf("%s: %v", path, err)
				}
				if path == "/late" {
					_, _, _ = conn.Read(t.Context())
					_ = conn.CloseNow()
				} else if conn != nil {
					conns = append(conns, conn)
				}
			}
		}
		synctest.Wait()
		s := app.Stats()
		if s.WebSockets != (asgi.OpenStats{Open: 10, Total: 20}) || s.Panics != 20 ||
			s.Requests.InFlight != 0 || s.Requests.Status1xx != 20 ||
			s.Requests.Status4xx != 10 || s.Requests.Status5xx != 10 ||
			s.Requests.Latency.Count != 20 || s.Requests.Total != 40 {
			t.Errorf("%+v", s)
		}
		for i, conn := range conns {
			if i%2 == 0 {
				_ = conn.Close(websocket.StatusNormalClosure, "")
			} else {
				_ = conn.CloseNow() // as a network that is gone
			}
		}
		synctest.Wait()
		// one connection is left for HTTP: the last that was denied
		s = app.Stats()
		if s.WebSockets != (asgi.OpenStats{Total: 20}) || s.Connections.Open != 1 {
			t.Errorf("afterwards %+v", s)
		}
	})
}

func TestApp_StatsOfAnAppInAnApp(t *testing.T) {
	inner := newApp(statuses)
	outer := newApp(inner.ServeHTTP)
	for range 3 {
		outer.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?404", nil))
	}
	inner.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?404", nil))
	if in, out := inner.Stats().Requests, outer.Stats().Requests; in.Status4xx != 4 ||
		out.Status4xx != 3 || in.Latency.Count != 4 || out.Latency.Count != 3 {
		t.Errorf("inner %+v, outer %+v", in, out)
	}
}

func TestApp_StatsTellsTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp(func(_ http.ResponseWriter, r *http.Request) {
			<-time.After(10 * time.Second)
		})
		app.ShutdownDelay = 5 * time.Second
		want := func(state string) {
			t.Helper()
			synctest.Wait()
			if got := app.Stats().State; got != state {
				t.Errorf("%q, want %q", got, state)
			}
		}
		want("new")
		c := asgitest.New(t, app)
		want("running")
		requested := make(chan struct{})
		go func() { defer close(requested); c.Get("/").Want(200) }()
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- c.Close() }()
		want("unready")
		<-time.After(5 * time.Second)
		want("draining")
		<-requested
		if err := <-closed; err != nil {
			t.Error(err)
		}
		want("stopped")
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if s := app.Stats().Requests; w.Code != 503 || s.Status5xx != 1 || s.Total != 2 {
			t.Errorf("%d after the end: %+v", w.Code, s)
		}
	})
}

func TestBackground_StatsAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := background(asgi.BackgroundOptions{Workers: 2, Queue: 6})
		app := newApp(asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
			err := asgi.After(r.Context(), func(context.Context) error { return nil })
			<-time.After(3 * time.Second)
			return asgi.NoContent(), err
		}), b)
		if got := newApp(nil).Stats().Background; got != (asgi.BackgroundStats{}) {
			t.Errorf("without a Background: %+v", got)
		}
		release := make(chan struct{})
		for i := range 5 {
			err := b.Go(t.Context(), func(context.Context) error {
				<-release
				switch i {
				case 1:
					return errB
				case 2:
					panic(i)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for range 3 { // the first has the last place
			wg.Go(func() {
				app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			})
			synctest.Wait()
		}
		s := app.Stats().Background
		if s.Held != 1 || s.Queued != 3 || s.Running != 2 || s.Refused != 2 || s.Done != 0 ||
			s.Wait.Count != 2 || s.Run.Count != 0 {
			t.Errorf("while two run: %+v", s)
		}
		wg.Wait()
		<-time.After(time.Second)
		close(release)
		if err := b.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := b.Go(t.Context(), sleep(0)); !errors.Is(err, asgi.ErrBackgroundStopped) {
			t.Error(err)
		}
		s = app.Stats().Background
		if s.Held+s.Queued+s.Running != 0 || s.Refused != 3 || s.Done != 6 || s.Failed != 2 ||
			s.Panics != 1 || s.Wait.Count != 6 || s.Run.Count != 6 {
			t.Errorf("at the end: %+v", s)
		}
		// 4 s of two; three waited for them, and one that came 3 s later for 1 s
		if s.Run.Sum != 8 || s.Wait.Sum != 13 {
			t.Errorf("waited %v s, ran %v s", s.Wait.Sum, s.Run.Sum)
		}
	})
}

func TestApp_StatsAreJSON(t *testing.T) {
	app := newApp(statuses, background(asgi.BackgroundOptions{}))
	app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?500", nil))
	s := app.Stats()
	one, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	two, err := jsonv2.Marshal(s)
	if err != nil || string(one) != string(two) {
		t.Errorf("encoding/json and v2 differ: %v\n%s\n%s", err, one, two)
	}
	var back asgi.AppStats
	if err := json.Unmarshal(one, &back); err != nil || !reflect.DeepEqual(back, s) {
		t.Errorf("%v: %+v", err, back)
	}
	if text := string(one); !strings.Contains(text, `"status_5xx":1`) ||
		!strings.Contains(text, `"in_flight":0`) || text != strings.ToLower(text) {
		t.Errorf("names %s", text)
	}
}
