package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// handled serves h through a tunnel.
func handled(t *testing.T, opts *wsx.ServerOptions, h http.HandlerFunc) *socket {
	t.Helper()
	if opts == nil {
		opts = &wsx.ServerOptions{}
	}
	opts.HTTP = h
	return dial(t, callDispatcher(), opts)
}

func problemAnswer(id, status, title, detail, code string) string {
	return `WSX://{"id":` + id + `,"status":` + status +
		`,"headers":{"content-type":"application/problem+json"},"data":{"title":"` + title +
		`","status":` + status + `,"detail":"` + detail + `","code":"` + code + `"}}`
}

func TestTunnel_CancelEndsAStreamWithin100Milliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 1)
		s := handled(t, nil, func(w http.ResponseWriter, r *http.Request) {
			defer func() { ended <- time.Now() }()
			for range 1000 { // 10 s
				fmt.Fprint(w, "tick")
				if err := http.NewResponseController(w).Flush(); err != nil {
					if !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
					return
				}
				select {
				case <-time.After(10 * time.Millisecond):
				case <-r.Context().Done():
					return
				}
			}
		})
		s.send(tunnelled("1", "GET", "/", ""))
		for range 5 {
			if a := readTunnelAnswer(t, s.read()); !a.Stream || string(a.Data) != `"tick"` {
				t.Fatalf("%+v", a)
			}
		}
		s.send(`{"type":"rpc.cancel","id":1}`)
		cancelled := time.Now()
		for {
			message := s.read()
			if a := readTunnelAnswer(t, message); !a.Stream {
				if want := problemAnswer("1", "499", "Client Closed Request", "cancelled",
					"CANCELLED"); message != want {
					t.Errorf("got  %s\nwant %s", message, want)
				}
				break
			}
		}
		if took := (<-ended).Sub(cancelled); took > 100*time.Millisecond {
			t.Errorf("the handler ended %v later", took)
		}
		s.send(ping)
		s.expect(pong) // and nothing of the stream
	})
}

// The client that cancels need not have read what came before.
func TestTunnel_CancelEndsAFlushThatWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		s := handled(t, &wsx.ServerOptions{MaxQueueBytes: 4096, WriteTimeout: time.Hour},
			func(w http.ResponseWriter, _ *http.Request) {
				for {
					fmt.Fprint(w, strings.Repeat("x", 1000))
					if err := http.NewResponseController(w).Flush(); err != nil {
						ended <- err
						return
					}
				}
			})
		s.send(tunnelled("1", "GET", "/", ""))
		settle()
		s.send(`{"type":"rpc.cancel","id":1}`)
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		for readTunnelAnswer(t, s.read()).Stream {
		}
	})
}

func TestTunnel_AFlushWaitsNoLongerThanTheWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		s := handled(t, &wsx.ServerOptions{MaxQueueBytes: 4096, WriteTimeout: time.Hour},
			func(w http.ResponseWriter, _ *http.Request) {
				rc := http.NewResponseController(w)
				if err := rc.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
					t.Error(err)
				}
				var err error
				for err == nil {
					fmt.Fprint(w, strings.Repeat("x", 1000))
					err = rc.Flush()
				}
				ended <- err
			})
		s.send(tunnelled("1", "GET", "/", ""))
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		for readTunnelAnswer(t, s.read()).Stream {
		}
		s.send(ping)
		s.expect(pong) // the connection lives on
	})
}

func TestTunnel_ResponseControllerSaysWhatItCannot(t *testing.T) {
	s := handled(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		rc := http.NewResponseController(w)
		if _, _, err := rc.Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Error(err)
		}
		if err := rc.EnableFullDuplex(); !errors.Is(err, http.ErrNotSupported) {
			t.Error(err)
		}
		if err := errors.Join(rc.SetReadDeadline(time.Time{}),
			rc.SetWriteDeadline(time.Time{})); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusTeapot)
		w.WriteHeader(http.StatusOK) // too late, as anywhere
		w.Header().Set("X-Late", "1")
		_, _ = io.WriteString(w, "short")
	})
	s.send(tunnelled("1", "GET", "/", ""))
	s.expect(
		`WSX://{"id":1,"status":418,"headers":{"content-type":"text/plain; ` +
			`charset=utf-8"},"data":"short"}`)
}

func TestTunnel_APanicIsA500AndStaysInTheLog(t *testing.T) {
	for name, value := range map[string]any{
		"a value":              "canary-7f3a",
		"http.ErrAbortHandler": http.ErrAbortHandler,
	} {
		t.Run(name, func(t *testing.T) {
			log := &logBuffer{}
			s := handled(t, &wsx.ServerOptions{Logger: log.logger()},
				func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.WriteString(w, "begun")
					if r.URL.Path == "/stream" {
						w.(http.Flusher).Flush()
					}
					panic(value)
				})
			s.send(tunnelled("1", "GET", "/", ""))
			s.expectProblem(problemAnswer("1", "500", "Internal Server Error", "internal error",
				"INTERNAL_ERROR"))
			s.send(tunnelled("2", "GET", "/stream", ""))
			if a := readTunnelAnswer(t, s.read()); !a.Stream {
				t.Errorf("%+v", a)
			}
			s.expectProblem(problemAnswer("2", "500", "Internal Server Error", "internal error",
				"INTERNAL_ERROR"))
			if !strings.Contains(log.String(), fmt.Sprint(value)) {
				t.Error(log.String())
			}
		})
	}
}

func TestTunnel_LimitsAnAnswer(t *testing.T) {
	log := &logBuffer{}
	s := handled(t, &wsx.ServerOptions{MaxHTTPBody: 10, Logger: log.logger()},
		func(w http.ResponseWriter, r *http.Request) {
			_, first := io.WriteString(w, "0123456789")
			if r.URL.Path == "/flush" {
				w.(http.Flusher).Flush()
			}
			_, second := io.WriteString(w, "0")
			if first != nil || (second == nil) != (r.URL.Path == "/flush") {
				t.Error(first, second)
			}
		})
	s.send(tunnelled("1", "GET", "/", ""))
	s.expectProblem(problemAnswer("1", "500", "Internal Server Error", "internal error",
		"INTERNAL_ERROR"))
	if !strings.Contains(log.String(), "too long") {
		t.Error(log.String())
	}
	s.send(tunnelled("2", "GET", "/flush", ""))
	const head = `"status":200,"headers":{"content-type":"text/plain; charset=utf-8"}`
	s.expect(`WSX://{"id":2,`+head+`,"data":"0123456789","stream":true}`,
		`WSX://{"id":2,`+head+`,"data":"0"}`)
}

func TestTunnel_InheritsWhoTheUpgradeWas(t *testing.T) {
	type key struct{}
	seen := make(chan *http.Request, 1)
	s := wsx.NewServer(callDispatcher(),
		&wsx.ServerOptions{
			HTTPHeaders: []string{"X-Mine", "cookie", "host", "upgrade"},
			HTTP: http.HandlerFunc(
				func(_ http.ResponseWriter, r *http.Request) { seen <- r },
			),
		})
	var upgrade *http.Request
	client := wsxtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		upgrade = r
		r.RemoteAddr = "192.0.2.7:1"
		r.Header.Set("Cookie", "session=1")
		r.Header.Set("X-Forwarded-For", "192.0.2.7")
		s.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "Ada")))
	}))
	t.Cleanup(func() { stop(t, s) })
	c := dialSocket(t, client, "ws://wsx.test/?a=b")
	c.send(tunnelled("1", "POST", "/p%2Fq",
		`,"headers":{"x-mine":"1","cookie":"session=2","host":"evil","upgrade":"websocket",`+
			`"accept":"a/b"},"query":"c=d","data":[1]`))
	r := <-seen
	body, _ := io.ReadAll(r.Body)
	if r.Host != "wsx.test" || r.RemoteAddr != "192.0.2.7:1" || r.Context().Value(key{}) != "Ada" ||
		wsx.ConnFrom(r.Context()) == nil || r.TLS != upgrade.TLS {
		t.Error(r.Host, r.RemoteAddr, r.Context().Value(key{}))
	}
	want := http.Header{
		"Cookie": {"session=1"}, "X-Forwarded-For": {"192.0.2.7"}, "X-Mine": {"1"},
		"Content-Type": {"application/json"},
		"User-Agent":   {upgrade.Header.Get("User-Agent")},
	}
	if fmt.Sprint(r.Header) != fmt.Sprint(want) || string(body) != "[1]" || r.ContentLength != 3 {
		t.Errorf("%v %s", r.Header, body)
	}
	if r.URL.Path != "/p/q" || r.URL.RawPath != "/p%2Fq" || r.RequestURI != "/p%2Fq?c=d" ||
		r.Form != nil {
		t.Errorf("%+v %q", r.URL, r.RequestURI)
	}
	if a := readTunnelAnswer(t, c.read()); a.Status != http.StatusOK {
		t.Errorf("%+v", a)
	}
	if err := r.Context().Err(); err == nil {
		t.Error("the context outlives the request")
	}
}

func TestTunnel_RefusesWhatIsNoRequest(t *testing.T) {
	s := handled(t, nil, func(http.ResponseWriter, *http.Request) { t.Error("called") })
	for _, tc := range []struct{ send, id string }{
		{"WSX://", "null"},
		{"WSX://nonsense", "null"},
		{"WSX://[]", "null"},
		{`WSX://{"method":"GET","path":"/"}`, "null"},
		{`WSX://{"id":1,"id":1,"method":"GET","path":"/"}`, "null"},
		{`WSX://{"id":1,"method":"GET"}`, "1"},
		{`WSX://{"id":1,"path":"/"}`, "1"},
		{`WSX://{"id":1,"x":1,"x":1,"method":"GET","path":"/"}`, "1"},
		{`WSX://{"id":1,"method":"GET","path":"/","data":` + strings.Repeat("[", 32) +
			strings.Repeat("]", 32) + `}`, "1"},
		{tunnelled("1", "", "/", ""), "1"},
		{tunnelled("1", "G T", "/", ""), "1"},
		{tunnelled("1", "GET\\r\\n", "/", ""), "1"},
		{tunnelled("1", "GET", "", ""), "1"},
		{tunnelled("1", "GET", "x", ""), "1"},
		{tunnelled("1", "GET", "http://a/", ""), "1"},
		{tunnelled("1", "GET", "//a/b", ""), "1"},
		{tunnelled("1", "GET", "/%2fa", ""), "1"},
		{tunnelled("1", "GET", "/\\\\a", ""), "1"},
		{tunnelled("1", "GET", "/%5ca", ""), "1"},
		{tunnelled("1", "GET", "/a b", ""), "1"},
		{tunnelled("1", "GET", "/a\\r\\nX: y", ""), "1"},
		{tunnelled("1", "GET", "/a%0d%0aX", ""), "1"},
		{tunnelled("1", "GET", "/a%00", ""), "1"},
		{tunnelled("1", "GET", "/a?b", ""), "1"},
		{tunnelled("1", "GET", "/a#b", ""), "1"},
		{tunnelled("1", "GET", "/%", ""), "1"},
		{tunnelled("1", "GET", "/../a", ""), "1"},
		{tunnelled("1", "GET", "/a/%2e%2e", ""), "1"},
		{tunnelled("1", "GET", "/a%2f..%2fb", ""), "1"},
		{tunnelled("1", "GET", "/./a", ""), "1"},
		{tunnelled("1", "GET", "/", `,"query":"a b"`), "1"},
		{tunnelled("1", "GET", "/", `,"query":"a#b"`), "1"},
		{tunnelled("1", "GET", "/", `,"query":"a\r\n"`), "1"},
		{tunnelled("1", "GET", "/", `,"query":7`), "1"},
		{tunnelled("1", "GET", "/", `,"query":{"a":1}`), "1"},
		{tunnelled("1", "GET", "/", `,"query":{"a":[null]}`), "1"},
		{tunnelled("1", "GET", "/", `,"headers":[]`), "1"},
		{tunnelled("1", "GET", "/", `,"headers":{"a b":"c"}`), "1"},
		{tunnelled("1", "GET", "/", `,"headers":{"accept":"a\r\nb: c"}`), "1"},
		{tunnelled("1", "GET", "/", `,"headers":{"accept":"a","Accept":"b"}`), "1"},
		{
			tunnelled("1", "PUT", "/", `,"headers":{"content-type":"a/b"},"data":{"base64":"!"}`),
			"1",
		},
	} {
		s.send(tc.send)
		message := s.read()
		if !strings.HasPrefix(message,
			`WSX://{"id":`+tc.id+
				`,"status":400,"headers":{"content-type":"application/problem+json"},"data":`) {
			t.Errorf("%s is answered %s", tc.send, message)
		}
		readTunnelAnswer(t, message)
	}
}

func TestTunnel_CountsAsOtherRequestsDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, started := make(chan struct{}), make(chan struct{}, 1)
		s := handled(t, &wsx.ServerOptions{RequestTimeout: 50 * time.Millisecond},
			func(_ http.ResponseWriter, r *http.Request) {
				started <- struct{}{}
				if r.URL.Path == "/hold" {
					<-release
				} else {
					<-r.Context().Done()
				}
			})
		s.send(tunnelled("1", "GET", "/hold", ""))
		<-started
		s.send(tunnelled("1", "GET", "/hold", ""))
		seen := withoutFreshID(s.read() + s.read())
		for _, want := range []string{
			problemAnswer("1", "400", "Bad Request", "a request with this id is in flight",
				"INVALID_REQUEST"),
			problemAnswer("1", "504", "Gateway Timeout", "deadline exceeded", "DEADLINE_EXCEEDED"),
		} {
			if !strings.Contains(seen, want) {
				t.Errorf("%s is not in %s", want, seen)
			}
		}
		close(release)
		s.send(tunnelled("2", "GET", "/", ""))
		s.expectProblem(problemAnswer("2", "504", "Gateway Timeout", "deadline exceeded",
			"DEADLINE_EXCEEDED"))
	})
}

func TestTunnel_DrainsAndThenRefuses(t *testing.T) {
	release, started := make(chan struct{}), make(chan struct{})
	server, client := serve(t, callDispatcher(),
		&wsx.ServerOptions{HTTP: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(started)
			<-release
			_, _ = io.WriteString(w, "done")
		})})
	s := dialSocket(t, client, "ws://wsx.test/")
	s.send(tunnelled("1", "GET", "/", ""))
	<-started
	stopped := make(chan error, 1)
	go func() { stopped <- server.Stop(context.Background()) }()
	for i := 2; ; i++ { // until Stop has come as far
		s.send(tunnelled(fmt.Sprint(i), "BAD METHOD", "/", ""))
		if a := readTunnelAnswer(t, s.read()); a.Status == http.StatusServiceUnavailable {
			break
		}
	}
	close(release)
	s.expect(
		`WSX://{"id":1,"status":200,"headers":{"content-type":"text/plain; ` +
			`charset=utf-8"},"data":"done"}`)
	s.expectClosed(1001)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestTunnel_LeavesNothingToAGoroutineThatOutlivesItsHandler(t *testing.T) {
	writers := make(chan http.ResponseWriter, 1)
	s := handled(t, nil, func(w http.ResponseWriter, _ *http.Request) { writers <- w })
	s.send(tunnelled("1", "GET", "/", ""))
	s.expect(`WSX://{"id":1,"status":200,"headers":{}}`)
	w := <-writers
	if _, err := w.Write([]byte("late")); err == nil {
		t.Error("written")
	}
	if err := http.NewResponseController(w).Flush(); err == nil {
		t.Error("flushed")
	}
	s.send(ping)
	s.expect(pong)
}
