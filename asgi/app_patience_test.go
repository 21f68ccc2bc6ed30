package asgi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
)

// raw serves app over pipes. dial connects; stop shuts down and tells how long it took and the
// error of Serve.
func raw(t *testing.T, app *asgi.App) (dial func() net.Conn, stop func() (time.Duration, error)) {
	app.Logger = silent
	l := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- app.Serve(ctx, l) }()
	dial = func() net.Conn {
		client, server := net.Pipe()
		l.conns <- server
		t.Cleanup(func() { _ = client.Close() })
		return client
	}
	return dial, func() (time.Duration, error) {
		synctest.Wait()
		began := time.Now()
		cancel()
		err := <-served
		return time.Since(began), err
	}
}

// say writes in the background: net.Pipe waits for the reader.
func say(c net.Conn, text string) {
	go func() { _, _ = io.WriteString(c, text) }()
	synctest.Wait()
}

const (
	getRequest  = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	postRequest = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
)

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// used sends a first request and reads its answer.
func used(t *testing.T, c net.Conn) *bufio.Reader {
	t.Helper()
	say(c, getRequest)
	br := bufio.NewReader(c)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return br
}

func TestApp_ShutdownAnswersNoHalfHeader(t *testing.T) {
	for _, part := range []string{
		"", "G", "GET / HTT", "GET / HTTP/1.1\r\nHost: a\r\nCook",
		"POST / HTTP/1.1\r\nHost: a\r\n",
	} {
		for name, before := range map[string]bool{"kept": true, "new": false} {
			synctest.Test(t, func(t *testing.T) {
				app := asgi.New(http.HandlerFunc(hello))
				app.Server.ReadHeaderTimeout = time.Hour // at whose end net/http answers 400
				dial, stop := raw(t, app)
				c := dial()
				br := bufio.NewReader(c)
				if before {
					br = used(t, c)
				}
				say(c, part)
				got := make(chan string, 1)
				go func() {
					b, _ := io.ReadAll(br)
					got <- string(b)
				}()
				if took, err := stop(); err != nil || took > 6*time.Second {
					t.Errorf("%s, %q: %v after %v", name, part, err, took)
				}
				if text := <-got; text != "" {
					t.Errorf("%s, %q was answered with %q", name, part, text)
				}
			})
		}
	}
	t.Run("but a bad one otherwise", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			dial, stop := raw(t, asgi.New(http.HandlerFunc(hello)))
			c := dial()
			br := used(t, c)
			say(c, "GET / HTT\r\n\r\n")
			if line, _ := br.ReadString('\n'); !strings.Contains(line, " 400 ") {
				t.Errorf("got %q", line)
			}
			go func() { _, _ = io.Copy(io.Discard, br) }()
			if _, err := stop(); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestApp_ShutdownWaitsForTheFirstRequestOfANewConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial, stop := raw(t, asgi.New(http.HandlerFunc(hello)))
		c := dial()
		got := make(chan string, 1)
		go func() {
			<-time.After(2 * time.Second) // a TLS handshake, a slow link
			_, _ = io.WriteString(c, getRequest)
			b, _ := io.ReadAll(c)
			got <- string(b)
		}()
		if took, err := stop(); err != nil || took > 3*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if text := <-got; !strings.Contains(text, " 200 ") {
			t.Errorf("got %q", text)
		}
	})
}

// One socket, whatever it leaves undone, neither holds a shutdown for long nor makes it fail.
func TestApp_OneSocketDoesNotSpoilTheShutdown(t *testing.T) {
	big := strings.Repeat("x", 1<<20)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "big.txt"), []byte(big), 0o600); err != nil {
		t.Fatal(err)
	}
	decodes := asgi.Handle(func(context.Context, struct{ N int }) (int, error) { return 1, nil })
	const handshake = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: " +
		"websocket\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for name, c := range map[string]struct {
		handler http.Handler
		sent    string
		reads   bool
		answer  string // its beginning, where the client reads
	}{
		"a connection never used": {http.HandlerFunc(hello), "", true, ""},
		"half a body": {
			decodes, postRequest + "Content-Length: 10\r\n\r\n{", true,
			"HTTP/1.1 408",
		},
		"half a chunk": {
			decodes,
			postRequest + "Transfer-Encoding: chunked\r\n\r\n9\r\n{", true, "HTTP/1.1 408",
		},
		"a body for a type without one": {
			asgi.Handle(func(context.Context, struct{}) (int, error) { return 1, nil }),
			postRequest + "Content-Length: 10\r\n\r\n{", true, "HTTP/1.1 408",
		},
		"a large body that nobody reads": {
			http.HandlerFunc(hello),
			postRequest + "Content-Length: 100000\r\n\r\n{", true, "HTTP/1.1 200",
		},
		"a form": {
			asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
				_, err := r.Form()
				return asgi.NoContent(), err
			}),
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: " +
				"application/x-www-form-urlencoded\r\nContent-Length: 10\r\n\r\na=", true,
			"HTTP/1.1 408",
		},
		"a handshake with a body": {
			asgi.HandleWebSocket(accepted(echo), nil),
			handshake + "Content-Length: 10\r\n\r\n", true, "HTTP/1.1 400",
		},
		"a handshake with chunks": {
			asgi.HandleWebSocket(accepted(echo), nil),
			handshake + "Transfer-Encoding: chunked\r\n\r\n", true, "HTTP/1.1 400",
		},
		"a refused one with a body": {
			asgi.HandleWebSocket(accepted(echo), nil),
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", true, "HTTP/1.1 405",
		},
		"a page not read": {http.HandlerFunc(hello), getRequest, false, ""},
		"a large answer not read": {
			asgi.Respond(func(*asgi.Request) (asgi.Response, error) { return asgi.Text(big), nil }),
			getRequest, false, "",
		},
		"a file not read": {
			asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
				return asgi.File(dir, "big.txt"), nil
			}), getRequest, false, "",
		},
		"a file server's not read": {
			http.FileServer(http.Dir(dir)),
			strings.Replace(getRequest, "/", "/big.txt", 1), false, "",
		},
		"a stream not read": {asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
			return asgi.StreamFunc("text/plain", func(ctx context.Context, w io.Writer) error {
				_, err := io.WriteString(w, big)
				return err
			}), nil
		}), getRequest, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := asgi.New(c.handler)
				app.Server.ReadHeaderTimeout, app.Server.ReadTimeout = time.Hour, time.Hour
				dial, stop := raw(t, app)
				conn := dial()
				say(conn, c.sent)
				got := make(chan string, 1)
				if c.reads {
					go func() {
						b, _ := io.ReadAll(conn)
						got <- string(b)
					}()
				}
				if took, err := stop(); err != nil || took > 11*time.Second {
					t.Errorf("%v after %v", err, took)
				}
				if !c.reads {
					return
				}
				if text := <-got; !strings.HasPrefix(text, c.answer) {
					t.Errorf("answered with %.200q", text)
				}
			})
		})
	}
}

func TestApp_ShutdownLetsASlowBodyCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dial, stop := raw(t,
			asgi.New(asgi.Handle(func(ctx context.Context, in struct{ N int }) (int, error) {
				select {
				case <-ctx.Done():
					return 0, ctx.Err()
				case <-time.After(12 * time.Second): // an ordinary request goes on, its body read
					return in.N, nil
				}
			})))
		c := dial()
		say(c, postRequest+"Content-Length: 7\r\n\r\n{")
		got := make(chan string, 1)
		go func() {
			<-time.After(4 * time.Second)
			_, _ = io.WriteString(c, `"N":1}`)
			b, _ := io.ReadAll(c)
			got <- string(b)
		}()
		if took, err := stop(); err != nil || took > 17*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		if text := <-got; !strings.Contains(text, " 200 ") {
			t.Errorf("got %q", text)
		}
	})
}

// The slowest client that is served takes 128 KiB in 30 s.
func TestApp_CutsWhoDoesNotTakeTheAnswer(t *testing.T) {
	const size = 1 << 20
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	writes := map[string]http.HandlerFunc{
		"a reply": asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
			return asgi.Bytes("text/plain", make([]byte, size)), nil
		}),
		"a file": asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
			return asgi.File(dir, "f"), nil
		}),
		"a string": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("x", size))
		},
		"a copy": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, strings.NewReader(strings.Repeat("x", size)))
		},
		"a file server": func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join(dir, "f"))
		},
	}
	for name, h := range writes {
		for pace, c := range map[string]struct {
			every time.Duration // for 64 KiB
			send  time.Duration
			whole bool
		}{
			"never":             {time.Hour, 0, false},
			"too slow":          {20 * time.Second, 0, false},
			"slow":              {5 * time.Second, 0, true},
			"slow, an option":   {15 * time.Second, time.Minute, true},
			"slow, no time-out": {time.Hour, -1, true},
		} {
			t.Run(name+"/"+pace, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					app := asgi.New(h)
					app.SendTimeout = c.send
					dial, stop := raw(t, app)
					conn := dial()
					say(conn, getRequest)
					read, err := 0, error(nil)
					for buf := make([]byte, 64<<10); err == nil && read < size; {
						<-time.After(c.every)
						var n int
						n, err = io.ReadFull(conn, buf)
						read += n
					}
					if whole := err == nil; whole != c.whole {
						t.Errorf("read %d bytes, %v", read, err)
					}
					_ = conn.Close()
					if _, err := stop(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

func TestApp_LeavesWriteDeadlinesToWhoSetsThem(t *testing.T) {
	waits := func(set func(w http.ResponseWriter)) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			set(w)
			_, err := io.WriteString(w, strings.Repeat("x", 1<<20))
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				panic(err)
			}
		}
	}
	for name, c := range map[string]struct {
		set   func(http.ResponseWriter)
		whole time.Duration // Server.WriteTimeout
		took  time.Duration
	}{
		"the App": {func(http.ResponseWriter) {}, 0, 30 * time.Second},
		"the handler": {func(w http.ResponseWriter) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
		}, 0, time.Minute},
		"the http.Server": {func(http.ResponseWriter) {}, 10 * time.Second, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := make(chan time.Duration, 1)
				began := time.Now()
				app := asgi.New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer func() { ended <- time.Since(began) }()
					waits(c.set)(w, r)
				}))
				app.Server.WriteTimeout = c.whole
				dial, stop := raw(t, app)
				say(dial(), getRequest)
				if took := <-ended; took != c.took {
					t.Errorf("ended after %v", took)
				}
				if _, err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
