package asgi

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/genropy/genro-asgi-go/internal/counting"
	"github.com/genropy/genro-asgi-go/internal/httpconn"
	"github.com/genropy/genro-asgi-go/internal/stopping"
)

// App joins a handler to the components it needs and serves it: Run starts the components in order,
// serves, and on a signal drains what is under way and stops the components in reverse (see the
// package comment, "Shutdown").
//
// It is an http.Handler and a Component itself, so that it can be mounted or nested, and started
// and stopped without serving. The exported fields are options, to be set before Run, Serve, Start
// or the first request; every zero value is valid. An App lives once. All methods may be called
// concurrently.
type App struct {
	// Debug lets clients see the text of internal errors and of failed readiness checks. Never in
	// production.
	Debug bool

	// Logger takes what the App has to say; nil means slog.Default().
	Logger *slog.Logger

	// Errors says how errors become problems in the handlers of this App. Debug and Logger above
	// hold where its own are zero.
	Errors ErrorOptions

	// Validator looks at the input of every typed handler that is a struct; see
	// ContextWithValidator. Nil is none.
	Validator func(v any) error

	// State holds what all handlers share; they reach it by AppState(ctx).
	State State

	// Lifespan has the deadlines of the components' hooks; zero means 30 s for each Start and 10 s
	// for each Stop.
	Lifespan LifespanOptions

	// Server is passed through to net/http; set what you need of it (TLSConfig, Protocols and HTTP2
	// for h2c, ConnContext, BaseContext, ErrorLog, …) but Addr and Handler, which are not used.
	// With a TLSConfig, which must hold a certificate or a way to get one, the App serves TLS,
	// without one clear text. Instead of net/http's absent limits, zero means here:
	//
	//	ReadHeaderTimeout  5 s
	//	IdleTimeout        60 s
	//	MaxHeaderBytes     16 KiB (net/http allows 4 KiB more)
	//	ReadTimeout        30 s, for header and body; it ends with the body and does not limit the
	//	                   answer. A handler that expects more calls
	//	                   http.NewResponseController(w).SetReadDeadline(later)
	//	WriteTimeout       none, as it would cut streams: see SendTimeout
	//
	// A negative time means none. Functions registered with RegisterOnShutdown run only when the
	// requests are drained: a stream that is to end at shutdown watches ShutdownContext(ctx).
	Server http.Server

	// SendTimeout is how long the client may take for each 128 KiB of an answer, be it a file or of
	// a handler of others, before the connection is cut; 0 means 30 s, which makes some 4 KiB/s the
	// slowest client, negative none. Streams (Stream, StreamFunc, SSE) and whoever calls
	// http.ResponseController.SetWriteDeadline have deadlines of their own, and Server.WriteTimeout
	// takes its place.
	SendTimeout time.Duration

	// ShutdownDelay is how long the App goes on serving once it is unready, for load balancers to
	// notice; 0 means not at all.
	ShutdownDelay time.Duration

	// ShutdownTimeout is how long the shutdown may take in all after the delay; 0 means 30 s.
	// Requests and streams have the first two thirds of it, the components what is left.
	ShutdownTimeout time.Duration

	handler    http.Handler
	life       *Lifespan
	background *Background // the first among the components, or nil

	configured sync.Once
	linked     sync.Once
	isStarted  atomic.Bool
	readiness  readiness
	shutdown   shutdown
	conns      httpconn.Tracker
	requests   requestCounts
	counts     counting.Counts
}

const (
	defaultReadHeaderTimeout = 5 * time.Second
	defaultIdleTimeout       = 60 * time.Second
	defaultMaxHeaderBytes    = 16 << 10
	defaultReadTimeout       = 30 * time.Second
	defaultSendTimeout       = 30 * time.Second
	defaultShutdownTimeout   = 30 * time.Second
)

var (
	_ http.Handler = (*App)(nil)
	_ Component    = (*App)(nil)
	_ Component    = (*Lifespan)(nil)
)

// New makes an App of a handler (nil answers 404 to everything) and components in the order in
// which they are to be started. A *Background among them is the one that After uses. It panics
// where a component is nil.
func New(handler http.Handler, components ...Component) *App {
	if handler == nil {
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			WriteError(w, r, NewHTTPError(http.StatusNotFound, ""))
		})
	}
	a := &App{handler: handler, life: newLifespan("New", nil, components)}
	for _, c := range components {
		if b, ok := c.(*Background); ok {
			a.background = b
			break
		}
	}
	a.shutdown.init()
	return a
}

// configure reads the options, once.
func (a *App) configure() {
	if a.life == nil {
		panic("asgi: an App is made by New")
	}
	a.configured.Do(func() {
		a.life.opts = a.Lifespan
		a.readiness.checks = a.life.checks()
		if a.Errors.Logger == nil {
			a.Errors.Logger = a.logger()
		}
		a.Errors.Debug = a.Errors.Debug || a.Debug
	})
}

func (a *App) logger() *slog.Logger {
	if a.Logger == nil {
		return slog.Default()
	}
	return a.Logger
}

func (a *App) sendTimeout() time.Duration { return orDefault(a.SendTimeout, defaultSendTimeout) }

// String is the name of the App's lifespan, "app" if it has none.
func (a *App) String() string {
	if a.Lifespan.Name == "" {
		return "app"
	}
	return a.Lifespan.Name
}

// Start starts the components; see Lifespan.Start. Run and Serve call it.
func (a *App) Start(ctx context.Context) error {
	a.configure()
	if err := a.life.Start(ctx); err != nil {
		return err
	}
	a.isStarted.Store(true)
	return nil
}

// checks makes the App a lifespan to another one.
func (a *App) checks() []check {
	a.configure()
	return a.readiness.checks
}

type appKey struct{}

// appContext is the context of a request with what belongs to its App itself. It takes the place of
// four contexts of one value each.
type appContext struct {
	context.Context
	app *App
}

func (c *appContext) Value(key any) any {
	switch key.(type) {
	case appKey:
		return c.app
	case stopping.Key:
		return c.app.shutdown.begun
	case stopping.AttachKey:
		return c.app.shutdown.attach
	case counting.Key:
		return &c.app.counts
	}
	return c.Context.Value(key)
}

// context adds to a request's context what handlers of this App find in it.
func (a *App) context(ctx context.Context) context.Context {
	ctx = ContextWithErrors(ContextWithAppState(ctx, &a.State), &a.Errors)
	if a.background != nil {
		ctx = ContextWithBackground(ctx, a.background)
	}
	if a.Validator != nil {
		ctx = ContextWithValidator(ctx, a.Validator)
	}
	return &appContext{ctx, a}
}

func appOf(ctx context.Context) *App {
	a, _ := ctx.Value(appKey{}).(*App)
	return a
}
