package asgi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// What WebSocket does, by a stand-in: a connection that outlives its handler.
func TestAttach(t *testing.T) {
	cases := map[string]struct {
		polite bool // it ends when the shutdown begins
		took   time.Duration
	}{
		"ends at the beginning":   {true, 0},
		"is cut when time is out": {false, 20 * time.Second},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := New(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					begun, cut, release, ok := attach(r.Context())
					if !ok {
						t.Error("refused")
						return
					}
					end := cut
					if c.polite {
						end = begun
					}
					go func() {
						defer release()
						<-end.Done()
						if cause := context.Cause(end); !errors.Is(cause, ErrShutdown) {
							t.Errorf("cause %v", cause)
						}
					}()
				}))
				if err := app.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				r := httptest.NewRequest("GET", "/", nil)
				app.ServeHTTP(httptest.NewRecorder(), r)
				begin := time.Now()
				if err := app.Stop(t.Context()); (err == nil) != c.polite {
					t.Errorf("stop: %v", err)
				}
				if took := time.Since(begin); took != c.took {
					t.Errorf("took %v", took)
				}
				if _, _, _, ok := attach(app.context(t.Context())); ok {
					t.Error("let in after the shutdown")
				}
			})
		})
	}
}

func TestAttach_WithoutAppNeverEnds(t *testing.T) {
	begun, cut, release, ok := attach(t.Context())
	defer release()
	if !ok || begun.Done() != nil || cut.Done() != nil {
		t.Error("there is no app that could end it")
	}
}
