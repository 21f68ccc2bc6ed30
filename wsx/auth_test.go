package wsx_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// statusError is an error of a package that knows only HTTP.
type statusError int

func (e statusError) Error() string   { return "canary-7f3a" }
func (e statusError) StatusCode() int { return int(e) }

// byWord takes tokens such as ada-60, which is good for ada and for 60 seconds; 0 is for ever. The
// time is the bubble's.
func byWord(_ *http.Request, token string) (wsx.Identity, error) {
	switch token {
	case "":
		return wsx.Identity{}, wsx.NewError(wsx.CodeUnauthenticated, "")
	case "forbidden":
		return wsx.Identity{}, wsx.NewError(wsx.CodePermissionDenied, "not you")
	case "broken":
		return wsx.Identity{}, fmt.Errorf("canary-7f3a: %w", io.ErrUnexpectedEOF)
	case "panic":
		panic("canary-7f3a")
	case "nobody":
		return wsx.Identity{}, nil
	case "invalid":
		return wsx.Identity{Subject: "\xff"}, nil
	case "past":
		return wsx.Identity{Subject: "ada", Expires: time.Now()}, nil
	case "status":
		return wsx.Identity{}, statusError(http.StatusServiceUnavailable)
	}
	var subject string
	var seconds int
	if _, err := fmt.Sscanf(strings.Replace(token, "-", " ", 1), "%s %d", &subject,
		&seconds); err != nil {
		return wsx.Identity{}, &wsx.Error{
			Code: wsx.CodeUnauthenticated,
			Err:  fmt.Errorf("bad token %q", token),
		}
	}
	id := wsx.Identity{Subject: subject, Value: token}
	if seconds != 0 {
		id.Expires = time.Now().Add(time.Duration(seconds) * time.Second)
	}
	return id, nil
}

// dialAs connects with a bearer token.
func dialAs(t testing.TB, client *http.Client, token string) *socket {
	t.Helper()
	header := http.Header{"Authorization": {"Bearer " + token}}
	c, _, err := websocket.Dial(t.Context(), "ws://wsx.test/",
		&websocket.DialOptions{HTTPClient: client, HTTPHeader: header})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.CloseNow() })
	return &socket{t, c}
}

func authDispatcher() *wsx.Dispatcher {
	d := callDispatcher()
	wsx.Handle(d, "whoami", func(ctx context.Context, _ struct{}) (string, error) {
		if id := wsx.ConnFrom(ctx).Identity(); id.Subject != wsx.IdentityFrom(ctx).Subject ||
			id.Value != wsx.IdentityFrom(ctx).Value {
			return "", errors.New("the connection and the context differ")
		}
		return wsx.IdentityFrom(ctx).Subject, nil
	})
	return d
}

func TestServer_AuthenticatesAtTheUpgrade(t *testing.T) {
	for name, tc := range map[string]struct {
		query, authorization string
		allow                bool
		status               int
		challenge            string
	}{
		"good":               {authorization: "Bearer ada-0", status: 101},
		"scheme in any case": {authorization: "bearer  ada-0 ", status: 101},
		"none":               {status: 401, challenge: "Bearer"},
		"another scheme":     {authorization: "Basic YTpi", status: 401, challenge: "Bearer"},
		"bad": {
			authorization: "Bearer x", status: 401,
			challenge: `Bearer error="invalid_token"`,
		},
		"past": {
			authorization: "Bearer past", status: 401,
			challenge: `Bearer error="invalid_token"`,
		},
		"forbidden":         {authorization: "Bearer forbidden", status: 403},
		"broken":            {authorization: "Bearer broken", status: 500},
		"panic":             {authorization: "Bearer panic", status: 500},
		"a token of nobody": {authorization: "Bearer nobody", status: 500},
		"no UTF-8":          {authorization: "Bearer invalid", status: 500},
		"a status":          {authorization: "Bearer status", status: 503},
		"in the query":      {query: "token=ada-0", status: 401, challenge: "Bearer"},
		"in the query too": {
			query: "a=1&%61ccess_token=ada-0", authorization: "Bearer ada-0",
			status: 401, challenge: "Bearer",
		},
		"allowed in query":    {query: "a=1&token=ada%2D0", allow: true, status: 101},
		"allowed, by RFC":     {query: "access_token=ada-0", allow: true, status: 101},
		"allowed, unreadable": {query: "token=%zz", allow: true, status: 401, challenge: "Bearer"},
		"allowed, but twice": {
			query: "token=ada-0", authorization: "Bearer ada-0", allow: true,
			status: 400,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log logBuffer
			s := wsx.NewServer(authDispatcher(),
				&wsx.ServerOptions{
					Authenticate: byWord, AllowQueryToken: tc.allow,
					Logger: log.logger(),
				})
			client := wsxtest.Serve(t, logged(s, &log))
			t.Cleanup(func() { stop(t, s) })
			r := handshake(t, "http://wsx.test/?"+tc.query)
			if tc.authorization != "" {
				r.Header.Set("Authorization", tc.authorization)
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			if got := resp.Header.Get("WWW-Authenticate"); got != tc.challenge {
				t.Errorf("WWW-Authenticate: %q, want %q", got, tc.challenge)
			}
			if tc.status == http.StatusSwitchingProtocols {
				defer resp.Body.Close()
				if resp.StatusCode != tc.status {
					t.Error(resp.Status)
				}
				return
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || strings.Contains(string(body), "canary") {
				t.Errorf("%s, %v", body, err)
			}
			resp.Body = io.NopCloser(strings.NewReader(string(body)))
			expectProblem(t, resp, tc.status)
			if lines := strings.Count(log.String(), "\n"); lines != 1 ||
				(tc.status >= 500) != strings.Contains(log.String(), "level=ERROR") {
				t.Errorf("logged in %d lines: %s", lines, log.String())
			}
			if id := regexp.MustCompile(`"request_id":"(\w+)"`).FindSubmatch(body); tc.status >=
				500 && (id == nil || !strings.Contains(log.String(), "request_id="+string(id[1]))) {
				t.Errorf("%s, and the log has %s", body, log.String())
			}
		})
	}
}

// nilError has methods that cannot be called on a nil one.
type nilError struct{ status int }

func (e *nilError) Error() string   { return http.StatusText(e.status) }
func (e *nilError) StatusCode() int { return e.status }

func TestServer_RefusesByTheAppsRules(t *testing.T) {
	banned := errors.New("canary")
	app := &problem.Options{Map: func(_ *http.Request, err error) *problem.Error {
		if errors.Is(err, banned) {
			return &problem.Error{
				Status: 403, Code: "BANNED", Detail: "Go away.",
				Header: http.Header{"X-Own": {"1"}},
			}
		}
		return nil
	}}
	for want, authenticate := range map[string]wsx.Authenticator{
		`{"title":"Forbidden","status":403,"detail":"Go ` +
			`away.","code":"BANNED","request_id":"r-1"}`: func(*http.Request, string) (wsx.Identity,
			error,
		) {
			return wsx.Identity{}, fmt.Errorf("x: %w", banned)
		},
		`{"title":"Service Unavailable","status":503,"detail":"Ask ` +
			`later.","retry_after":2,"request_id":"r-1","since":"noon"}`: func(*http.Request,
			string,
		) (wsx.Identity, error) {
			p := problem.Unavailable(2*time.Second, "Ask later.")
			p.Extensions = map[string]any{"since": "noon"}
			return wsx.Identity{}, fmt.Errorf("canary: %w", p)
		},
		`{"title":"Unauthorized","status":401,"detail":"unauthenticated",` +
			`"code":"UNAUTHENTICATED","request_id":"r-1"}`: func(*http.Request,
			string,
		) (wsx.Identity, error) {
			return wsx.Identity{}, fmt.Errorf("canary: %w",
				wsx.NewError(wsx.CodeUnauthenticated, ""))
		},
		`{"title":"Internal Server Error","status":500,"request_id":"r-1"}`: func(*http.Request,
			string,
		) (wsx.Identity, error) {
			return wsx.Identity{}, (*nilError)(nil)
		},
		`{"title":"I'm a teapot","status":418,"request_id":"r-1"}`: func(*http.Request,
			string,
		) (wsx.Identity, error) {
			return wsx.Identity{}, &nilError{418}
		},
	} {
		for name, h := range map[string]http.Handler{
			"a Server": wsx.NewServer(authDispatcher(),
				&wsx.ServerOptions{
					Authenticate: authenticate,
					Logger:       slog.New(slog.DiscardHandler),
				}),
			"middleware": authenticate.Middleware(http.NotFoundHandler()),
		} {
			var log logBuffer
			o := *app
			o.Logger = log.logger()
			w := httptest.NewRecorder()
			r := handshake(t, "http://wsx.test/")
			r.Header.Set("X-Request-Id", "r-1")
			h.ServeHTTP(hijackable{w}, r.WithContext(problem.WithOptions(r.Context(), &o)))
			if got := w.Body.String(); got != want {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
			if lines := strings.Count(log.String(), "\n"); (lines == 1) != (w.Code >= 500) ||
				lines > 1 {
				t.Errorf("%s: %d: the log has %s", name, w.Code, &log)
			}
		}
	}
}

// hijackable is the writer of a request that could be upgraded.
type hijackable struct{ *httptest.ResponseRecorder }

func (hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, errors.ErrUnsupported
}

// TestServer_KeepsTokensOutOfTheLog looks for a canary of a token, wherever it may come by.
func TestServer_KeepsTokensOutOfTheLog(t *testing.T) {
	const canary = "canary-token-91c2"
	var log logBuffer
	wsxAuth := func(params string) string { return request("1", "wsx.auth", params) }
	authenticate := func(r *http.Request, token string) (wsx.Identity, error) {
		if strings.Contains(r.URL.String()+r.RequestURI+fmt.Sprint(r.Form), canary) {
			t.Error("the authenticator's request has it in its URL")
		}
		if r.URL.Query().Has("bad") || wsx.ConnFrom(r.Context()) != nil {
			return wsx.Identity{}, fmt.Errorf("parse %q: bad signature", token)
		}
		return wsx.Identity{Subject: "ada"}, nil
	}
	urls := make(chan string, 1)
	d := wsx.NewDispatcher()
	wsx.HandleNotify(d, "url", func(ctx context.Context, _ struct{}) error {
		r := wsx.ConnFrom(ctx).Request()
		urls <- r.URL.String() + " " + r.RequestURI
		return nil
	})
	s := wsx.NewServer(d,
		&wsx.ServerOptions{Authenticate: authenticate, AllowQueryToken: true, Logger: log.logger()})
	client := wsxtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm() // as middleware may have done
		logged(s, &log).ServeHTTP(w, r)
	}))
	t.Cleanup(func() { stop(t, s) })
	for _, query := range []string{"bad&token=", "bad&access_token="} {
		resp, err := client.Do(handshake(t, "http://wsx.test/?"+query+canary))
		if err != nil {
			t.Fatal(err)
		}
		expectProblem(t, resp, 500)
	}
	c := dialSocket(t, client, "ws://wsx.test/ws?a=1&token="+canary+"&b=%20")
	c.send(wsxAuth(`{"token":"`+canary+`"}`), wsxAuth(`{"token":["`+canary+`"]}`),
		wsxAuth(`{"`+canary+`":1}`), wsxAuth(`"`+canary+`"`))
	c.read()
	c.send(`{"type":"rpc.notify","method":"url"}`)
	if got := <-urls; got != "/ws?a=1&b=%20 /ws?a=1&b=%20" {
		t.Error(got)
	}
	_ = c.c.Close(websocket.StatusNormalClosure, "")
	stop(t, s)
	if text := log.String(); strings.Contains(text, canary) || strings.Count(text, "[token]") != 3 {
		t.Errorf("the log:\n%s", text)
	}
}

func TestServer_TellsHandlersTheSubject(t *testing.T) {
	t.Run("of Authenticate", func(t *testing.T) {
		_, client := serve(t, authDispatcher(), &wsx.ServerOptions{Authenticate: byWord})
		c := dialAs(t, client, "ada-0")
		c.send(request("1", "whoami", ""))
		c.expect(response("1", `"ada"`))
	})
	t.Run("of middleware", func(t *testing.T) {
		s := wsx.NewServer(authDispatcher(), nil)
		client := wsxtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.ServeHTTP(w,
				r.WithContext(wsx.WithIdentity(r.Context(), wsx.Identity{Subject: "bob"})))
		}))
		t.Cleanup(func() { stop(t, s) })
		c := dialAs(t, client, "ignored")
		c.send(request("1", "whoami", ""), request("2", "wsx.auth", `{"token":"bob-0"}`))
		c.expect(response("1", `"bob"`),
			`{"type":"rpc.error","id":2,"error":{"code":"METHOD_NOT_FOUND","message":"method not `+
				`found","details":{"method":"wsx.auth"}}}`)
	})
	t.Run("of nobody", func(t *testing.T) {
		c := dial(t, authDispatcher(), nil)
		c.send(request("1", "whoami", ""))
		c.expect(response("1", `""`))
	})
	t.Run("of expired middleware", func(t *testing.T) {
		s := wsx.NewServer(authDispatcher(), nil)
		t.Cleanup(func() { stop(t, s) })
		client := wsxtest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.ServeHTTP(w,
				r.WithContext(wsx.WithIdentity(r.Context(),
					wsx.Identity{Subject: "bob", Expires: time.Now()})))
		}))
		resp, err := client.Do(handshake(t, "http://wsx.test/"))
		if err != nil {
			t.Fatal(err)
		}
		expectProblem(t, resp, 401)
	})
}

func TestHubSSE_SaysWhenItCannotFlush(t *testing.T) {
	log := new(logBuffer)
	hub := wsx.NewHub(nil)
	hub.Configure("room", nil)
	defer func() { _ = hub.Stop(context.Background()) }()
	w := httptest.NewRecorder()
	hidden := struct{ http.ResponseWriter }{w}
	logged(hub.SSE(func(*http.Request) (string, error) { return "room", nil }),
		log).ServeHTTP(hidden, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != http.StatusInternalServerError || !strings.Contains(log.String(), "Unwrap") {
		t.Errorf("%d, log %s", w.Code, log)
	}
}

func TestServer_AnAnonymousClientMayLogIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, client := serve(t, authDispatcher(),
			&wsx.ServerOptions{
				Authenticate: func(r *http.Request, token string) (wsx.Identity, error) {
					if token == "" {
						return wsx.Identity{Expires: time.Now().Add(10 * time.Second)}, nil
					}
					return byWord(r, token)
				},
			})
		began := time.Now()
		a, b := dialSocket(t, client, "ws://wsx.test/"), dialSocket(t, client, "ws://wsx.test/")
		a.send(request("1", "wsx.auth", `{"token":"ada-0"}`), request("2", "whoami", ""),
			request("3", "wsx.auth", `{"token":""}`))
		a.expect(response("1", `{"subject":"ada"}`), response("2", `"ada"`),
			fault("3", "UNAUTHENTICATED", "no token"))
		b.expectClosed(4401)
		if took := time.Since(began); took < 10*time.Second || took > 11*time.Second {
			t.Error(took)
		}
		<-time.After(5 * time.Second)
		a.send(request("4", "whoami", ""))
		a.expect(response("4", `"ada"`))
	})
}
