package asgi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
)

// pipes is a listener whose connections are in memory, so that a server lives in a synctest bubble,
// with its clock.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// bubble serves h with short time-outs that streams must outlive; dial sends a request and gives
// the connection.
func bubble(t *testing.T, h http.Handler, base context.Context) (dial func(head string) net.Conn) {
	t.Helper()
	listener := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	s := &http.Server{
		Handler: h, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		BaseContext: func(net.Listener) context.Context { return quiet(base) },
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(listener) })
	var clients []net.Conn
	t.Cleanup(func() {
		for _, c := range clients {
			_ = c.Close()
		}
		_ = s.Close()
		served.Wait()
	})
	return func(head string) net.Conn {
		client, conn := net.Pipe()
		clients = append(clients, client)
		listener.conns <- conn
		if _, err := io.WriteString(client, head); err != nil {
			t.Fatal(err)
		}
		return client
	}
}

const getStream = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

// bodyOf reads a response to its end.
func bodyOf(t *testing.T, c net.Conn) (string, error) {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestStream_SendsEachChunkAtOnceAndOutlivesTheTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial := bubble(t,
			give(asgi.StreamFunc("text/plain", func(ctx context.Context, w io.Writer) error {
				for _, s := range []string{"one ", "two ", "three"} {
					if _, err := io.Copy(w, strings.NewReader(s)); err != nil {
						return err
					}
					select {
					case <-ctx.Done():
						return context.Cause(ctx)
					case <-time.After(8 * time.Second):
					}
				}
				return nil
			})), t.Context())
		start := time.Now()
		response, err := http.ReadResponse(bufio.NewReader(dial(getStream)), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		buf := make([]byte, 100)
		n, err := response.Body.Read(buf)
		if got := string(buf[:n]); got != "one " || err != nil || time.Since(start) > time.Second {
			t.Errorf("%q, %v after %v", got, err, time.Since(start))
		}
		rest, err := io.ReadAll(response.Body)
		if string(rest) != "two three" || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

func TestStream_EndsWhenTheClientDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		h := asgi.StreamFunc("text/plain", func(_ context.Context, w io.Writer) error {
			start := time.Now()
			_, err := io.WriteString(w, "x")
			if d := time.Since(start); d != 30*time.Second {
				t.Errorf("gave up after %v", d)
			}
			ended <- err
			return err
		})
		bubble(t, give(h), t.Context())(getStream)
		var failed *asgi.HTTPError
		if err := <-ended; !errors.As(err, &failed) ||
			failed.Status != asgi.StatusClientClosedRequest {
			t.Errorf("error %v", err)
		}
	})
}

// endless gives one chunk a second.
func endless(yield func([]byte, error) bool) {
	for yield([]byte("x"), nil) {
		<-time.After(time.Second)
	}
}

func TestStream_IsCutAtShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopping, stop := context.WithCancel(t.Context())
		defer stop()
		dial := bubble(t, give(asgi.Stream("text/plain", endless)),
			asgi.ContextWithShutdown(t.Context(), stopping))
		time.AfterFunc(2500*time.Millisecond, stop)
		body, err := bodyOf(t, dial(getStream))
		if body != "xxx" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q, %v: a client takes a part for the whole", body, err)
		}
	})
}

func TestStream_StopsWhenTheClientIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		h := asgi.Stream("text/plain", func(yield func([]byte, error) bool) {
			defer close(ended)
			endless(yield)
		})
		c := bubble(t, give(h), t.Context())(getStream)
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		<-ended
	})
}

func TestStream_OfNothing(t *testing.T) {
	w := serve(t, give(asgi.Stream("text/csv", func(func([]byte, error) bool) {}).Status(201)),
		httptest.NewRequest("GET", "/", nil))
	if w.Code != 201 || w.Header().Get("Content-Type") != "text/csv" || w.Body.Len() != 0 {
		t.Errorf("%d, %v", w.Code, w.Header())
	}
	w = serve(t, give(asgi.Stream("text/csv", oneChunk).Status(206)),
		httptest.NewRequest("GET", "/", nil))
	if w.Code != 206 || w.Body.String() != "x" {
		t.Errorf("%d, %q", w.Code, w.Body)
	}
}

// events makes a sequence of values.
func events(list ...asgi.Event) func(context.Context, string) iter.Seq2[asgi.Event, error] {
	return func(context.Context, string) iter.Seq2[asgi.Event, error] {
		return func(yield func(asgi.Event, error) bool) {
			for _, e := range list {
				if !yield(e, nil) {
					return
				}
			}
		}
	}
}

func TestSSE_Format(t *testing.T) {
	s := server(t, give(asgi.SSE(events(
		asgi.Event{ID: "1", Type: "tick", Data: "a\nb\r\nc\rd", Retry: 1500 * time.Millisecond},
		asgi.Event{Data: addOut{3}},
		asgi.Event{Data: []byte("")},
		asgi.Event{ID: "2"},
	), nil)))
	response, body, err := fetch(t, s, "GET")
	if err != nil {
		t.Fatal(err)
	}
	want := "event: tick\nid: 1\nretry: 1500\ndata: a\ndata: b\ndata: c\ndata: d\n\ndata: " +
		"{\"sum\":3}\n\ndata: \n\nid: 2\n\n"
	if body != want {
		t.Errorf("got  %q\nwant %q", body, want)
	}
	h := response.Header
	if h.Get("Content-Type") != "text/event-stream" || h.Get("Cache-Control") != "no-cache" ||
		response.StatusCode != 200 {
		t.Errorf("%d, %v", response.StatusCode, h)
	}
	if response, body, err := fetch(t, s, "HEAD"); err != nil || body != "" ||
		response.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %v, %q", err, body)
	}
}

func TestSSE_FaultsCutTheStream(t *testing.T) {
	for name, bad := range map[string]asgi.Event{
		"line break in the id":   {ID: "1\ndata: forged", Data: "x"},
		"return in the id":       {ID: "1\rdata: forged", Data: "x"},
		"NUL in the id":          {ID: "\x00", Data: "x"},
		"line break in the type": {Type: "a\nb", Data: "x"},
		"data of no JSON":        {Data: make(chan int)},
	} {
		t.Run(name, func(t *testing.T) {
			_, body, err := fetch(t,
				server(t, give(asgi.SSE(events(asgi.Event{Data: "good"}, bad), nil))), "GET")
			if err == nil || body != "data: good\n\n" {
				t.Errorf("%v, %q", err, body)
			}
		})
	}
	failing := func(context.Context, string) iter.Seq2[asgi.Event, error] {
		return func(yield func(asgi.Event, error) bool) { yield(asgi.Event{}, errors.New(canary)) }
	}
	if _, body, err := fetch(t, server(t, give(asgi.SSE(failing, nil))), "GET"); err == nil ||
		body != "" {
		t.Errorf("%v, %q", err, body)
	}
}

func TestSSE_LastEventID(t *testing.T) {
	echo := asgi.SSE(func(_ context.Context, last string) iter.Seq2[asgi.Event, error] {
		return events(asgi.Event{Data: last})(nil, "")
	}, nil)
	for id, status := range map[string]int{
		"": 200, "7": 200, "è": 200, strings.Repeat("x", 1024): 200,
		strings.Repeat("x", 1025): 400, "a\nb": 400, "a\x00": 400, "\xff": 400,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Last-Event-ID", id)
		w := serve(t, give(echo), r)
		if w.Code != status || status == 200 && w.Body.String() != "data: "+id+"\n\n" {
			t.Errorf("%.20q: %d, %.60q", id, w.Code, w.Body)
		}
	}
}

// waiting gives one event and waits for the end of its context, which it tells.
func waiting(ended chan<- error) func(context.Context, string) iter.Seq2[asgi.Event, error] {
	return func(ctx context.Context, _ string) iter.Seq2[asgi.Event, error] {
		return func(yield func(asgi.Event, error) bool) {
			yield(asgi.Event{Data: "x"}, nil)
			<-ctx.Done()
			ended <- context.Cause(ctx)
		}
	}
}

func TestSSE_BeatsWhileSilentAndEndsAtShutdown(t *testing.T) {
	for name, c := range map[string]struct {
		opts *asgi.SSEOptions
		want string
	}{
		"default": {nil, "data: x\n\n:\n\n:\n\n:\n\n"},
		"every 4s": {
			&asgi.SSEOptions{Heartbeat: 4 * time.Second},
			"data: x\n\n" + strings.Repeat(":\n\n", 11),
		},
		"never": {&asgi.SSEOptions{Heartbeat: -1}, "data: x\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				stopping, stop := context.WithCancel(t.Context())
				defer stop()
				ended := make(chan error, 1)
				dial := bubble(t, give(asgi.SSE(waiting(ended), c.opts)),
					asgi.ContextWithShutdown(t.Context(), stopping))
				time.AfterFunc(47*time.Second, stop)
				body, err := bodyOf(t, dial(getStream))
				if body != c.want || err != nil {
					t.Errorf("got %q, %v, want %q", body, err, c.want)
				}
				if err := <-ended; err != asgi.ErrShutdown {
					t.Errorf("cause %v", err)
				}
			})
		})
	}
}

func TestSSE_EndsWithTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		dial := bubble(t,
			give(asgi.SSE(waiting(ended), &asgi.SSEOptions{WriteTimeout: time.Second})),
			t.Context())
		c := dial(getStream)
		if _, err := c.Read(make([]byte, 4096)); err != nil { // the headers, and nothing more
			t.Fatal(err)
		}
		start := time.Now()
		if err := <-ended; err == nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		c := bubble(t, give(asgi.SSE(waiting(ended), nil)), t.Context())(getStream)
		if _, err := c.Read(make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		if err := <-ended; err == nil {
			t.Error("the context has no cause")
		}
	})
}

// headerHook calls hook when the header goes out.
type headerHook struct {
	*httptest.ResponseRecorder
	hook func()
}

func (w headerHook) WriteHeader(status int) {
	w.hook()
	w.ResponseRecorder.WriteHeader(status)
}

// A client that has the headers counts on hearing of everything from then on.
func TestSSE_SubscribesBeforeTheHeaders(t *testing.T) {
	var subscribed chan string
	w := headerHook{httptest.NewRecorder(), func() {
		select {
		case subscribed <- "published at once":
		default:
			t.Error("nobody has subscribed")
		}
	}}
	bus := make(chan string, 1)
	err := asgi.SSE(func(context.Context, string) iter.Seq2[asgi.Event, error] {
		subscribed = bus
		return func(yield func(asgi.Event, error) bool) {
			select {
			case text := <-bus:
				yield(asgi.Event{Data: text}, nil)
			default:
			}
		}
	}, nil).WriteResponse(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if err != nil || w.Body.String() != "data: published at once\n\n" {
		t.Errorf("%q, %v", w.Body, err)
	}
}

func TestSSE_SendsHeadersBeforeTheFirstEvent(t *testing.T) {
	release := make(chan struct{})
	s := server(t, give(asgi.SSE(func(context.Context, string) iter.Seq2[asgi.Event, error] {
		return func(func(asgi.Event, error) bool) { <-release }
	}, nil)))
	response, err := s.Client().Get(s.URL)
	close(release)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); len(body) != 0 || err != nil {
		t.Errorf("%q, %v", body, err)
	}
}
