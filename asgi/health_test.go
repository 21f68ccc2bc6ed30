package asgi_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/asgi"
)

func probe(h http.Handler, method string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "/", nil))
	return http.StatusText(w.Code) + " " + w.Body.String()
}

func TestApp_LiveAsksNobody(t *testing.T) {
	app := newApp(nil, asgi.Hooks{OnReady: func(context.Context) error { return errA }})
	if got := probe(app.Live(), "GET"); got != `OK {"status":"live"}` {
		t.Errorf("got %s", got)
	}
	if got := probe(app.Live(), "HEAD"); got != "OK " {
		t.Errorf("HEAD got %s", got)
	}
}

func TestApp_ReadyFollowsTheLifecycle(t *testing.T) {
	app := newApp(nil, asgi.Hooks{})
	step := func(want string) {
		t.Helper()
		if got := probe(app.Ready(), "GET"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	step(`Service Unavailable {"status":"starting"}`)
	if err := app.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	step(`OK {"status":"ready"}`)
	if err := app.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	step(`Service Unavailable {"status":"stopping"}`)
}

func TestApp_ReadyChecks(t *testing.T) {
	fine := asgi.Hooks{Name: "fine"}
	bad := asgi.Hooks{Name: "bad", OnReady: func(context.Context) error { return errA }}
	wild := asgi.Hooks{Name: "wild", OnReady: func(context.Context) error { panic("canary-7f3a") }}
	slow := asgi.Hooks{Name: "slow", OnReady: sleep(3 * time.Second)}
	cases := map[string]struct {
		components []asgi.Component
		debug      bool
		want       string
		logged     string
	}{
		"all fine": {
			[]asgi.Component{fine, unchecked{}},
			false, `OK {"status":"ready"}`,
			"",
		},
		"one fails": {
			[]asgi.Component{fine, bad},
			false,
			`Service Unavailable {"status":"failing"}`, "a broke",
		},
		"in debug": {
			[]asgi.Component{fine, bad},
			true,
			`Service Unavailable {"status":"failing","checks":{"bad":"a broke"}}`, "component=bad",
		},
		"one panics": {
			[]asgi.Component{wild},
			false,
			`Service Unavailable {"status":"failing"}`, "canary-7f3a",
		},
		"one is too slow": {
			[]asgi.Component{slow},
			false,
			`Service Unavailable {"status":"failing"}`, "deadline",
		},
		"nested in another": {
			[]asgi.Component{asgi.NewLifespan(nil, bad)},
			false,
			`Service Unavailable {"status":"failing"}`, "component=bad",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				app := asgi.New(nil, c.components...)
				app.Debug = c.debug
				app.Logger = slog.New(slog.NewTextHandler(&log, nil))
				if err := app.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				if got := probe(app.Ready(), "GET"); got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				if !strings.Contains(log.String(), c.logged) || c.logged == "" && log.Len() > 0 {
					t.Errorf("logged %s", &log)
				}
				if err := app.Stop(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// unchecked has no Ready.
type unchecked struct{}

func (unchecked) Start(context.Context) error { return nil }
func (unchecked) Stop(context.Context) error  { return nil }

func TestApp_ReadyAsksOncePerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		app := newApp(nil, asgi.Hooks{OnReady: func(context.Context) error { asked++; return nil }})
		if err := app.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			probe(app.Ready(), "GET")
		}
		<-time.After(time.Second)
		probe(app.Ready(), "GET")
		if asked != 2 {
			t.Errorf("asked %d times", asked)
		}
	})
}

func TestApp_ReadyCheckThatHangsIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		release := make(chan struct{})
		app := newApp(nil,
			asgi.Hooks{OnReady: func(context.Context) error { asked++; <-release; return nil }})
		if err := app.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			if got := probe(app.Ready(), "GET"); got != `Service Unavailable {"status":"failing"}` {
				t.Errorf("got %s", got)
			}
			<-time.After(time.Second)
		}
		close(release)
		synctest.Wait()
		<-time.After(time.Second)
		if got := probe(app.Ready(), "GET"); got != `OK {"status":"ready"}` || asked != 2 {
			t.Errorf("got %s, asked %d times", got, asked)
		}
	})
}
