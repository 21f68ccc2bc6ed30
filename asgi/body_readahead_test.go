package asgi_test

import (
	"bufio"
	"context"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
)

// The context ends with the client also where the handler leaves a small body unread.
func TestContext_EndsWithTheClientWhateverIsRead(t *testing.T) {
	type waiter = func(ctx context.Context)
	for name, handler := range map[string]func(wait waiter) http.HandlerFunc{
		"a type without a body": func(wait waiter) http.HandlerFunc {
			return asgi.Handle(func(ctx context.Context, _ struct{}) (int, error) {
				wait(ctx)
				return 1, ctx.Err()
			})
		},
		"a type with one": func(wait waiter) http.HandlerFunc {
			return asgi.Handle(func(ctx context.Context, _ struct{ A int }) (int, error) {
				wait(ctx)
				return 1, ctx.Err()
			})
		},
		"a handler of its own": func(wait waiter) http.HandlerFunc {
			return asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
				wait(r.Context())
				return nil, r.Context().Err()
			})
		},
		"a stream": func(wait waiter) http.HandlerFunc {
			return asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
				return asgi.StreamFunc("text/plain",
					func(ctx context.Context, _ io.Writer) error {
						wait(ctx)
						return ctx.Err()
					}), nil
			})
		},
		"events": func(wait waiter) http.HandlerFunc {
			return asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
				return asgi.SSE(func(ctx context.Context, _ string) iter.Seq2[asgi.Event, error] {
					return func(func(asgi.Event, error) bool) { wait(ctx) }
				}, nil), nil
			})
		},
	} {
		for how, body := range map[string]string{
			"announced": "Content-Length: 7\r\n\r\n{\"A\":1}",
			"in chunks": "Transfer-Encoding: chunked\r\n\r\n7\r\n{\"A\":1}\r\n0\r\n\r\n",
		} {
			if how == "in chunks" && name == "a handler of its own" {
				continue // it may read the chunks as they come
			}
			t.Run(name+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					ended := make(chan bool, 1)
					dial, stop := raw(t, asgi.New(handler(func(ctx context.Context) {
						select {
						case <-ctx.Done():
							ended <- true
						case <-time.After(time.Hour):
							ended <- false
						}
					})))
					c := dial()
					go func() { _, _ = io.Copy(io.Discard, c) }()
					say(c, postRequest+body)
					_ = c.Close()
					if !<-ended {
						t.Error("the context did not end")
					}
					if _, err := stop(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// What was taken in is read as if it had just come, however it is read.
func TestBody_IsTheSameWhenItWasTakenIn(t *testing.T) {
	small, large := strings.Repeat("s", 1000), strings.Repeat("l", 200<<10)
	reads := map[string]func(r *asgi.Request) (string, error){
		"text": (*asgi.Request).Text,
		"raw": func(r *asgi.Request) (string, error) {
			b, err := io.ReadAll(r.HTTP().Body)
			return string(b), err
		},
		"body": func(r *asgi.Request) (string, error) {
			b, err := io.ReadAll(r.Body())
			return string(b), err
		},
		"bytes": func(r *asgi.Request) (string, error) {
			b, err := r.Bytes()
			return string(b), err
		},
	}
	for name, read := range reads {
		answer := func(ctx context.Context, _ struct{}) (*asgi.Reply, error) {
			r, _ := asgi.RequestFrom(ctx)
			text, err := read(r)
			return asgi.Text(text), err
		}
		srv := httptest.NewServer((&asgi.Limits{Body: 1 << 20}).Wrap(asgi.Handle(answer)))
		for _, body := range []string{"", small, large, large[:64<<10], large[:64<<10+1]} {
			for how, sent := range map[string]io.Reader{
				"announced": strings.NewReader(body),
				"in chunks": io.MultiReader(strings.NewReader(body)),
			} {
				resp, err := http.Post(srv.URL, "text/plain", sent)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != 200 || string(got) != body {
					t.Errorf("%s of %d bytes %s: %d, %d bytes, %v", name, len(body), how,
						resp.StatusCode, len(got), err)
				}
			}
		}
		srv.Close()
	}
}

// A client that asks before it sends is not asked for what nobody wants, and one that never sends
// is told.
func TestBody_ThatDoesNotCome(t *testing.T) {
	reads := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		text, err := r.Text()
		return asgi.Text(text), err
	})
	ignores := asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
		return asgi.Text("ok"), nil
	})
	for name, c := range map[string]struct {
		h    http.Handler
		head string
		want string
	}{
		"asked, unwanted": {ignores, "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", " 200 "},
		"asked, wanted":   {reads, "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", " 100 "},
		"not sent":        {reads, "Content-Length: 5\r\n\r\nab", " 408 "},
		"not sent, typed": {
			asgi.Handle(func(context.Context, struct{ A int }) (int, error) { return 1, nil }),
			"Content-Type: application/json\r\nContent-Length: 5\r\n\r\n{", " 408 ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dial, stop := raw(t, asgi.New(c.h))
				conn := dial()
				say(conn, "POST / HTTP/1.1\r\nHost: a\r\n"+c.head)
				line, err := bufio.NewReader(conn).ReadString('\n')
				if err != nil || !strings.Contains(line, c.want) {
					t.Errorf("%q, %v", line, err)
				}
				_ = conn.Close()
				if _, err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A body that comes bit by bit is the handler's to read as it comes.
func TestBody_InChunksIsReadAsItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := make(chan string, 1)
		dial, stop := raw(t, asgi.New(asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
			line, err := bufio.NewReader(r.Body()).ReadString('\n')
			first <- line
			return asgi.NoContent(), err
		})))
		c := dial()
		say(c, postRequest+"Transfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n")
		if got := <-first; got != "one\n" {
			t.Errorf("%q", got)
		}
		_ = c.Close()
		if _, err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestHandle_WithoutABodyOfUnknownLength(t *testing.T) {
	type in struct {
		Note string `json:"note"`
	}
	h := asgi.Handle(func(_ context.Context, v in) (in, error) { return v, nil })
	for _, c := range []struct {
		method, body, contentType string
		status                    int
	}{
		{"GET", "", "", 200},
		{"HEAD", "", "", 200},
		{"DELETE", "", "", 200},
		{"DELETE", "", "text/plain", 200},
		{"DELETE", "", "application/json", 200},
		{"DELETE", `{"note":"x"}`, "application/json", 200},
		{"DELETE", `{"note":"x"}`, "", 415},
		{"GET", "{", "application/json", 400},
		{"POST", "", "application/json", 400},
		{"POST", "", "", 415},
		{"PATCH", "", "", 415},
	} {
		r := chunked(httptest.NewRequest(c.method, "/", strings.NewReader(c.body)))
		if c.contentType != "" {
			r.Header.Set("Content-Type", c.contentType)
		}
		if w := serve(t, h, r); w.Code != c.status {
			t.Errorf("%s %q of type %q: %d %s, want %d", c.method, c.body, c.contentType, w.Code,
				w.Body, c.status)
		}
	}
	client := overHTTP2(t, h)
	r := client.Request("DELETE", "/", io.MultiReader(), nil)
	client.Do(r).Want(200)
}

func TestHost_IsAHeader(t *testing.T) {
	type one struct {
		Host string `header:"host"`
	}
	type list struct {
		Hosts []string `header:"Host"`
	}
	r := httptest.NewRequest("GET", "http://shop.example:8080/", nil)
	if w := serve(t,
		asgi.Handle(func(_ context.Context, v one) (string, error) { return v.Host, nil }),
		r); w.Body.String() != `"shop.example:8080"` {
		t.Error(w.Body)
	}
	if w := serve(t,
		asgi.Handle(func(_ context.Context, v list) ([]string, error) { return v.Hosts, nil }),
		r); w.Body.String() != `["shop.example:8080"]` {
		t.Error(w.Body)
	}
	see(t, r, func(r *asgi.Request) {
		if h := r.Headers(); h.Get("host") != "shop.example:8080" || !h.Has("Host") ||
			len(h.Values("HOST")) != 1 {
			t.Errorf("%v", h)
		}
	})
	if _, set := r.Header["Host"]; set {
		t.Error("the request's own headers were changed")
	}
	r.Host = ""
	see(t, r, func(r *asgi.Request) {
		if r.Headers().Has("Host") {
			t.Error("a host that nobody sent")
		}
	})
}

func TestJSON_KeepsIntegersInAny(t *testing.T) {
	const body = `{"id":7328334202200869666,"list":[9007199254740993,0.5,-1],` +
		`"u":18446744073709551615,"b":123456789012345678901234567890}`
	typed := asgi.Handle(func(_ context.Context, in map[string]any) (map[string]any, error) {
		return in, nil
	})
	inStruct := asgi.Handle(func(_ context.Context, in struct {
		ID   any   `json:"id"`
		List []any `json:"list"`
		U    *any  `json:"u"`
		B    any   `json:"b"`
	},
	) (any, error) {
		return in, nil
	})
	dynamic := asgi.Respond(func(r *asgi.Request) (asgi.Response, error) {
		var v map[string]any
		err := r.JSON(&v)
		return asgi.JSON(v), err
	})
	for name, h := range map[string]http.Handler{
		"Handle": typed, "a struct": inStruct,
		"Request.JSON": dynamic,
	} {
		w := serve(t, h, post("application/json", body))
		for _, want := range []string{
			"7328334202200869666", "[9007199254740993,0.5,-1]",
			"18446744073709551615", "123456789012345678901234567890",
		} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s: %d %s lacks %s", name, w.Code, w.Body, want)
			}
		}
	}
	if w := serve(t, typed, post("application/json", `{"id":1e999}`)); w.Code != 422 ||
		!strings.Contains(w.Body.String(), "/id") {
		t.Errorf("a number that is none: %d %s", w.Code, w.Body)
	}
	synctest.Test(t, func(t *testing.T) {
		client, _ := memory(t, accepted(func(ctx context.Context, ws *asgi.WebSocket) error {
			var v any
			if err := ws.ReceiveJSON(ctx, &v); err != nil {
				return err
			}
			return ws.SendJSON(ctx, v)
		}), nil)
		c, _, err := client.Dial(t.Context(), "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Write(t.Context(), 1, []byte("7328334202200869666")); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(t.Context()); string(b) != "7328334202200869666" {
			t.Errorf("%s, %v", b, err)
		}
	})
}
