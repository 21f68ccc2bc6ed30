package wsx_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx"
)

func TestConstructors_RefuseWhatIsNilWithAText(t *testing.T) {
	for name, f := range map[string]func(){
		"JSONRPC":   func() { wsx.JSONRPC(nil, nil) },
		"Documents": func() { _, _, _ = (*wsx.Dispatcher)(nil).Documents(nil) },
		"Mount":     func() { wsx.NewDispatcher().Mount("a", nil) },
		"Use": func() {
			wsx.NewDispatcher().Use(func(h wsx.Handler) wsx.Handler { return h }, nil)
		},
		"middleware": func() {
			d := wsx.NewDispatcher()
			d.Use(func(wsx.Handler) wsx.Handler { return nil })
			wsx.Handle(d, "add", add)
		},
		"SSE":                 func() { wsx.NewHub(nil).SSE(nil) },
		"Handle's dispatcher": func() { wsx.Handle(nil, "add", add) },
		"Handle's function":   func() { wsx.Handle[int, int](wsx.NewDispatcher(), "a", nil) },
		"HandleNotify's":      func() { wsx.HandleNotify[int](wsx.NewDispatcher(), "a", nil) },
		"HandleStream's": func() {
			wsx.HandleStream[int, int, int](wsx.NewDispatcher(), "a", nil)
		},
		"a dispatcher's Serve": func() {
			wsx.HandleNotify(nil, "a", func(context.Context, int) error { return nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, ok := recover().(string); !ok || !strings.HasPrefix(text, "wsx: ") {
					t.Errorf("panicked with %q", text)
				}
			}()
			f()
		})
	}
}

func TestNewServer_ServesChannelsAndTheTunnelWithoutADispatcher(t *testing.T) {
	hub := wsx.NewHub(nil)
	defer func() { _ = hub.Stop(context.Background()) }()
	hub.Configure("c", nil)
	s := dial(t, nil, &wsx.ServerOptions{Hub: hub, HTTP: http.NotFoundHandler()})
	s.send(request("1", "x", ""), `{"type":"rpc.subscribe","id":2,"channel":"c"}`)
	s.expect(
		`{"type":"rpc.error","id":1,"error":{"code":"METHOD_NOT_FOUND","message":"method not ` +
			`found","details":{"method":"x"}}}`)
	if got := s.read(); !strings.Contains(got, `"subscribed"`) {
		t.Error(got)
	}
	s.send(`WSX://{"id":3,"method":"GET","path":"/"}`)
	if got := s.read(); !strings.Contains(got, `"status":404`) {
		t.Error(got)
	}
}

// explosive is an error whose methods panic, as those of a nil pointer do.
type explosive struct{ text string }

func (e *explosive) Error() string   { return e.text }
func (e *explosive) StatusCode() int { return len(e.text) }

// treacherous panics only where an answer is made of it.
type treacherous struct{ error }

func (treacherous) Unwrap() error   { return nil }
func (treacherous) StatusCode() int { panic("status") }

// What a handler returns is its program's, methods included: none of them may end the process.
func TestServer_SurvivesErrorsWhoseMethodsPanic(t *testing.T) {
	d := callDispatcher()
	wsx.Handle(d, "explode",
		func(context.Context, int) (int, error) { return 0, (*explosive)(nil) })
	wsx.Handle(d, "betray", func(context.Context, int) (int, error) {
		return 0, &wsx.Error{Code: "OWN", Err: treacherous{fmt.Errorf("own")}}
	})
	var log logBuffer
	opts := &wsx.ServerOptions{
		Logger: log.logger(),
		HTTP: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}),
	}
	s := dial(t, d, opts)
	s.send(request("1", "explode", "1"),
		`[{"jsonrpc":"2.0","id":2,"method":"explode","params":[1]}]`)
	got := map[string]bool{s.read(): true, s.read(): true}
	if !got[fault("1", "INTERNAL_ERROR", "internal error")] ||
		!got[`[{"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"Internal `+
			`error","data":{"code":"INTERNAL_ERROR"}}}]`] {
		t.Error(got)
	}
	s.send(request("3", "betray", "1"), request("4", "echo", "4"))
	got = map[string]bool{s.read(): true, s.read(): true}
	if !got[fault("3", "OWN", "OWN")] || !got[response("4", "4")] {
		t.Error(got)
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/",
		strings.NewReader(`[{"jsonrpc":"2.0","id":1,"method":"explode","params":[1]}]`))
	r.Header.Set("Content-Type", "application/json")
	wsx.JSONRPC(d, &wsx.JSONRPCOptions{Logger: log.logger()}).ServeHTTP(w, r)
	if !strings.Contains(w.Body.String(), "INTERNAL_ERROR") {
		t.Error(w.Body.String())
	}
	if !strings.Contains(log.String(), "*wsx_test.explosive, whose Error panics") {
		t.Error(log.String())
	}
}
