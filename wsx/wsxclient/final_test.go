package wsxclient_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// moody is a server that answers each handshake by a script of its own; the last one is for all
// that follow.
type moody struct {
	mu      sync.Mutex
	scripts []http.HandlerFunc
	times   []time.Time
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	script := m.scripts[min(len(m.times), len(m.scripts)-1)]
	m.times = append(m.times, time.Now())
	m.mu.Unlock()
	script(w, r)
}

// waits is how long after one handshake the next came.
func (m *moody) waits() (all []time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := 1; i < len(m.times); i++ {
		all = append(all, m.times[i].Sub(m.times[i-1]))
	}
	return all
}

// accepting takes the handshake and does something with the connection.
func accepting(do func(c *websocket.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		do(c)
		_ = c.CloseNow()
	}
}

func closing(code websocket.StatusCode) http.HandlerFunc {
	return accepting(func(c *websocket.Conn) { _ = c.Close(code, "") })
}

var staying = accepting(func(c *websocket.Conn) { _ = untilClosed(c) })

func refusing(status int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
	}
}

func dialMoody(t *testing.T, m *moody, opts *wsxclient.Options) *wsxclient.Client {
	t.Helper()
	opts.HTTPClient, opts.Reconnect = wsxtest.Serve(t, m), true
	c, err := wsxclient.Dial(t.Context(), "ws://fake.test/", opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// What the network or this client's own limits ended is never final, nor is a close code that a
// network can cause; a server's word is.
func TestClient_WhatIsFinal(t *testing.T) {
	cut := func(frames string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			c, err := websocket.Accept(w, r, nil)
			if err == nil {
				_ = say(c, frames)
				_, _, _ = c.Read(context.Background())
			}
		}
	}
	for name, tc := range map[string]struct {
		ends  []http.HandlerFunc
		final bool
	}{
		"1000":                 {[]http.HandlerFunc{closing(1000)}, true},
		"4403":                 {[]http.HandlerFunc{closing(4403)}, true},
		"4401 without a token": {[]http.HandlerFunc{closing(4401)}, true},
		"1001": {
			[]http.HandlerFunc{closing(1001), closing(1001), closing(1001), staying}, false,
		},
		"1009": {
			[]http.HandlerFunc{closing(1009), closing(1009), closing(1009), staying}, false,
		},
		"1011": {
			[]http.HandlerFunc{closing(1011), closing(1011), closing(1011), staying}, false,
		},
		"1012": {
			[]http.HandlerFunc{closing(1012), closing(1012), closing(1012), staying}, false,
		},
		"4420": {
			[]http.HandlerFunc{closing(4420), closing(4420), closing(4420), staying}, false,
		},
		"4429": {
			[]http.HandlerFunc{closing(4429), closing(4429), closing(4429), staying}, false,
		},
		"1008 twice": {
			[]http.HandlerFunc{closing(1008), closing(1008), staying},
			false,
		},
		"1008 with others between": {
			[]http.HandlerFunc{
				closing(1008), closing(1008), closing(1001), closing(1008),
				closing(1008), staying,
			}, false,
		},
		"1008 for the third time": {
			[]http.HandlerFunc{closing(1008), closing(1008), closing(1008), staying}, true,
		},
		"a message that is not UTF-8": {
			[]http.HandlerFunc{cut("\xff"), cut("\xff"), cut("\xff"), cut("\xff"), staying}, false,
		},
		"403": {
			[]http.HandlerFunc{closing(1001), refusing(403), staying},
			true,
		},
		"410": {
			[]http.HandlerFunc{closing(1001), refusing(410), staying},
			true,
		},
		"401 without a token": {
			[]http.HandlerFunc{closing(1001), refusing(401), staying},
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &moody{scripts: tc.ends}
				c := dialMoody(t, m, &wsxclient.Options{})
				<-time.After(time.Hour)
				if final := c.Err() != nil; final != tc.final {
					t.Errorf("after %d handshakes: %v", len(m.waits())+1, c.Err())
				}
				if want := len(tc.ends); !tc.final && len(m.waits())+1 != want {
					t.Errorf("%d handshakes, want %d", len(m.waits())+1, want)
				}
			})
		})
	}
	for _, status := range []int{
		200, 302, 307, 400, 404, 405, 407, 408, 409, 421, 425, 426, 429,
		500, 502, 503, 504, 511, 530,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // a deploy
				m := &moody{
					scripts: []http.HandlerFunc{
						closing(1012),
						refusing(status, "Location", "/login"), refusing(status), refusing(status),
						staying,
					},
				}
				c := dialMoody(t, m, &wsxclient.Options{})
				<-time.After(time.Hour)
				if c.Err() != nil {
					t.Error(c.Err())
				}
			})
		})
	}
}

func TestClient_ADecisionOfTheProgramsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		m := &moody{
			scripts: []http.HandlerFunc{
				closing(1000), refusing(403), closing(4403), closing(1008),
				closing(1008), closing(1008), refusing(404), staying,
			},
		}
		c := dialMoody(t, m, &wsxclient.Options{Final: func(err error) bool {
			if refused, ok := errors.AsType[*wsxclient.HandshakeError](err); ok {
				asked = append(asked, fmt.Sprint(refused.Status))
				return refused.Status == 404
			}
			asked = append(asked, fmt.Sprint(websocket.CloseStatus(err), wsxclient.Final(err)))
			return false
		}})
		<-c.Done()
		if got := strings.Join(asked, " "); got !=
			"StatusNormalClosure true 403 StatusCode(4403) true"+
				strings.Repeat(" StatusPolicyViolation false", 3)+" 404" {
			t.Error(got)
		}
		if refused, ok := errors.AsType[*wsxclient.HandshakeError](c.Err()); !ok ||
			refused.Status != 404 {
			t.Error(c.Err())
		}
	})
}

// A server that says when to come back is believed, up to five minutes; a program can follow what
// goes wrong.
func TestClient_WaitsAsLongAsItIsAskedTo(t *testing.T) {
	for name, tc := range map[string]struct {
		refuse      func() http.HandlerFunc
		least, most time.Duration
	}{
		"seconds": {
			func() http.HandlerFunc { return refusing(503, "Retry-After", "30") },
			30 * time.Second, 61 * time.Second,
		},
		"429": {
			func() http.HandlerFunc { return refusing(429, "Retry-After", "30") },
			30 * time.Second, 61 * time.Second,
		},
		"too long": {
			func() http.HandlerFunc { return refusing(503, "Retry-After", "86400") },
			5 * time.Minute, 6 * time.Minute,
		},
		"no number": {
			func() http.HandlerFunc { return refusing(503, "Retry-After", "soon") }, 0,
			time.Second,
		},
		"none": {func() http.HandlerFunc { return refusing(503) }, 0, time.Second},
		"in the past": {func() http.HandlerFunc {
			return refusing(503, "Retry-After",
				time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		}, 0, time.Second},
		"a date": {func() http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				refusing(503, "Retry-After",
					time.Now().Add(40*time.Second).UTC().Format(http.TimeFormat))(w, nil)
			}
		}, 39 * time.Second, 71 * time.Second},
		"4429": {func() http.HandlerFunc { return closing(4429) }, time.Second, 2 * time.Second},
		"1013": {func() http.HandlerFunc { return closing(1013) }, time.Second, 2 * time.Second},
		"4420": {func() http.HandlerFunc { return closing(4420) }, time.Second, 2 * time.Second},
		"4430": {func() http.HandlerFunc { return closing(4430) }, time.Second, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &moody{scripts: []http.HandlerFunc{closing(1001), tc.refuse(), staying}}
				var told []string
				dialMoody(t, m, &wsxclient.Options{OnState: func(s wsxclient.State, err error) {
					if _, ok := errors.AsType[*wsxclient.HandshakeError](err); ok {
						told = append(told, fmt.Sprint(s, " ", err))
					}
				}})
				<-time.After(time.Hour)
				waits := m.waits()
				if len(waits) != 2 || waits[1] < tc.least || waits[1] > tc.most {
					t.Error(waits)
				}
				if _, err := strconv.Atoi(name); err != nil && len(told) != 1 {
					// the handshake was refused
					t.Error(told)
				}
			})
		})
	}
}

// A message over a slow but steady link takes what it takes; one that stalls ends its connection,
// and not the client.
func TestClient_TakesAMessageOverASlowLink(t *testing.T) {
	answer := func(n int, every time.Duration) http.HandlerFunc {
		return accepting(func(c *websocket.Conn) {
			if expect(c, `{"type":"rpc.request","id":1,"method":"big"}`) != nil {
				return
			}
			closed := c.CloseRead(context.Background())
			w, err := c.Writer(context.Background(), websocket.MessageText)
			if err != nil {
				return
			}
			_, _ = w.Write([]byte(`{"type":"rpc.response","id":1,"result":"`))
			for range n {
				<-time.After(every)
				if _, err := w.Write([]byte(strings.Repeat("x", 5000))); err != nil {
					// more than the writer gathers
					return
				}
			}
			_, _ = w.Write([]byte(`"}`))
			_ = w.Close()
			<-closed.Done()
		})
	}
	for name, tc := range map[string]struct {
		opts  wsxclient.Options
		every time.Duration
		lost  bool
	}{
		"four minutes":      {every: 2 * time.Second},
		"over five minutes": {every: 3 * time.Second, lost: true},
		"with a longer time-out": {
			opts:  wsxclient.Options{MessageTimeout: time.Hour},
			every: 20 * time.Second,
		},
		"with a shorter one": {
			opts:  wsxclient.Options{MessageTimeout: time.Minute},
			every: time.Second, lost: true,
		},
		"stalled": {every: 50 * time.Second, lost: true},
		"without a keepalive": {
			opts:  wsxclient.Options{KeepaliveAfter: -1, MessageTimeout: -1},
			every: 50 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &moody{scripts: []http.HandlerFunc{answer(120, tc.every), staying}}
				c := dialMoody(t, m, &tc.opts)
				got, err := wsxclient.Call[string](t.Context(), c, "big", nil)
				closed, lost := errors.AsType[*wsxclient.ClosedError](err)
				if lost != tc.lost || !lost && (err != nil || len(got) != 600_000) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				<-time.After(time.Minute)
				if c.Err() != nil || lost && (len(m.waits()) != 1 || !closed.MayHaveRun) {
					t.Error(c.Err(), m.waits())
				}
			})
		})
	}
}

// An OnState that does not return keeps nothing from going on; of what it missed it is told the
// newest.
func TestClient_NothingWaitsForOnState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &moody{}
		for range 50 {
			m.scripts = append(m.scripts, closing(1001), refusing(503))
		}
		m.scripts = append(m.scripts, staying)
		let := make(chan struct{})
		var told []string
		c := dialMoody(t, m, &wsxclient.Options{OnState: func(s wsxclient.State, _ error) {
			<-let
			told = append(told, s.String())
		}})
		<-time.After(24 * time.Hour)
		if n := len(m.waits()); n != 100 {
			t.Errorf("%d handshakes followed the first", n)
		}
		close(let)
		synctest.Wait() // or the end takes the place of one more
		_ = c.Close()
		if len(told) != 66 || told[0] != "connected" || told[64] != "connected" ||
			told[65] != "closed" {
			t.Error(len(told), told)
		}
	})
}

// Connections that end at once are followed by waits that grow; one that held begins anew.
func TestClient_WaitsGrowUntilAConnectionHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &moody{}
		for range 12 {
			m.scripts = append(m.scripts, closing(1001))
		}
		m.scripts = append(m.scripts, accepting(func(c *websocket.Conn) {
			c.CloseRead(context.Background())
			<-time.After(30 * time.Second)
			_ = c.Close(1001, "")
		}), staying)
		dialMoody(t, m, &wsxclient.Options{})
		<-time.After(time.Hour)
		waits := m.waits()
		if len(waits) != 13 {
			t.Fatal(waits)
		}
		if grown := slices.Max(waits[:12]); grown <= time.Second || grown > 30*time.Second {
			// at random, but of twelve one at least
			t.Error(waits)
		}
		if again := waits[12] - 30*time.Second; again > 100*time.Millisecond {
			t.Error(waits)
		}
	})
}
