package asgi_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
)

func TestNil_IsRefusedWhereItIsGiven(t *testing.T) {
	key := asgi.NewKey[int]("visits")
	for want, f := range map[string]func(){
		"asgi: New: component 2 is nil": func() {
			asgi.New(nil, asgi.Hooks{}, nil)
		},
		"asgi: New: component 1 is nil (*asgi.Background)": func() {
			asgi.New(nil, (*asgi.Background)(nil))
		},
		"asgi: NewLifespan: component 1 is nil (*asgi.App)": func() {
			asgi.NewLifespan(nil, (*asgi.App)(nil))
		},
		"asgi: Handle without a function": func() {
			asgi.Handle[int, int](nil)
		},
		"asgi: Respond without a function": func() {
			asgi.Respond(nil)
		},
		"asgi: HandleWebSocket without a function": func() {
			asgi.HandleWebSocket(nil, nil)
		},
		"asgi: Limits.Wrap: the handler is nil": func() {
			(&asgi.Limits{}).Wrap(nil)
		},
		"asgi: an App is made by New": func() {
			_ = new(asgi.App).Start(t.Context())
		},
		`asgi: key "visits": the State is nil`: func() {
			key.Set(nil, 1)
		},
		`asgi: key "visits": the State is nil: AppState is that of a re`: func() {
			key.GetOrSet(asgi.AppState(t.Context()), 1)
		},
	} {
		if text := panicOf(f); !strings.HasPrefix(text, want) {
			t.Errorf("%q instead of %q", text, want)
		}
	}
	for _, f := range []func(*asgi.App){
		func(a *asgi.App) { _ = a.Stop(t.Context()) },
		func(a *asgi.App) {
			a.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		},
	} {
		if text := panicOf(func() { f(new(asgi.App)) }); text != "asgi: an App is made by New" {
			t.Errorf("%q", text)
		}
	}
	key.Delete(nil)

	if err := newApp(nil).Serve(t.Context(), nil); err == nil ||
		!strings.Contains(err.Error(), "listener is nil") {
		t.Error(err)
	}
	background := asgi.NewBackground(nil)
	if err := background.Go(t.Context(), nil); err == nil ||
		!strings.Contains(err.Error(), "Background.Go") {
		t.Error(err)
	}
	if err := asgi.After(asgi.ContextWithBackground(t.Context(), background), nil); err == nil ||
		!strings.Contains(err.Error(), "After: the function") {
		t.Error(err)
	}
	err := asgi.After(t.Context(), func(context.Context) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "After") ||
		!strings.Contains(err.Error(), "asgi.NewBackground(nil)") {
		t.Errorf("without a Background: %v", err)
	}
	if err := background.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNil_InAReplyIsAnError(t *testing.T) {
	for name, reply := range map[string]*asgi.Reply{
		"StreamFunc": asgi.StreamFunc("text/plain", nil),
		"Stream":     asgi.Stream("text/plain", nil),
		"SSE":        asgi.SSE(nil, nil),
		"FileFS":     asgi.FileFS(fs.FS(nil), "a"),
	} {
		err := reply.Status(200).WriteResponse(httptest.NewRecorder(),
			httptest.NewRequest("GET", "/", nil))
		if err == nil || !strings.Contains(err.Error(), "asgi: "+name+":") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServe_APanicOfTheServersFunctionsIsAnError(t *testing.T) {
	for name, set := range map[string]func(*http.Server){
		"a nil BaseContext": func(s *http.Server) {
			s.BaseContext = func(net.Listener) context.Context { return nil }
		},
		"a ConnContext": func(s *http.Server) {
			s.ConnContext = func(context.Context, net.Conn) context.Context { panic("x") }
		},
	} {
		stopped := make(chan bool, 1)
		app := newApp(nil,
			asgi.Hooks{OnStop: func(context.Context) error { stopped <- true; return nil }})
		set(&app.Server)
		l, base := listen(t)
		served := make(chan error, 1)
		go func() { served <- app.Serve(t.Context(), l) }()
		if name == "a ConnContext" {
			conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
		}
		if err := <-served; err == nil || !strings.Contains(err.Error(), "panic") || !<-stopped {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Errors of a request whose client has gone are not the server's, whatever they say; a panic is.
func TestWriteError_OfAClientThatLeft(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	stopping, stop := context.WithCancelCause(t.Context())
	stop(asgi.ErrShutdown)
	for name, c := range map[string]struct {
		ctx    context.Context
		err    error
		status int
	}{
		"gone": {gone, context.Canceled, 499},
		"gone, an error of a library": {
			gone, errors.New("driver: operation was cancelled"),
			499,
		},
		"gone, an error with a status":    {gone, asgi.NewHTTPError(409, ""), 409},
		"gone, without an error":          {gone, nil, 500},
		"there, an error of a library":    {t.Context(), errors.New("driver: no connection"), 500},
		"shutdown":                        {stopping, context.Canceled, 503},
		"shutdown, an error of a library": {stopping, errors.New("driver: no connection"), 500},
		"a read that came too late": {
			gone,
			&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, 408,
		},
		"another's time-out": {
			t.Context(),
			&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, 500,
		},
	} {
		logged := new(log)
		ctx := asgi.ContextWithErrors(c.ctx,
			&asgi.ErrorOptions{Logger: slog.New(slog.NewTextHandler(logged, nil))})
		w := httptest.NewRecorder()
		asgi.WriteError(w, httptest.NewRequest("GET", "/", nil).WithContext(ctx), c.err)
		if w.Code != c.status ||
			strings.Contains(logged.String(), "level=ERROR") != (c.status >= 500) {
			t.Errorf("%s: %d, want %d; %s", name, w.Code, c.status, logged)
		}
	}
}
