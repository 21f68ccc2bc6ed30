package describe

import (
	"net/http"
	"reflect"
	"runtime"
	"strings"
)

// Probe is an http.ResponseWriter that asks a handler what it serves. What is written to it is
// lost.
type Probe struct {
	endpoints []Endpoint
	answered  bool
	inner     http.Handler
}

// Header implements http.ResponseWriter.
func (*Probe) Header() http.Header { return make(http.Header) }

// Write implements http.ResponseWriter.
func (*Probe) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements http.ResponseWriter.
func (*Probe) WriteHeader(int) {}

// Add tells of endpoints.
func (p *Probe) Add(all ...Endpoint) {
	p.endpoints = append(p.endpoints, all...)
	p.answered = true
}

// Pass asks next, which a handler is around, and has change, if it is not nil, add what it
// contributes to each endpoint.
func (p *Probe) Pass(next http.Handler, change func(*Endpoint)) {
	found, ok := Of(next)
	if !ok {
		return
	}
	if change != nil {
		for i := range found {
			change(&found[i])
		}
	}
	p.Add(found...)
}

// Enter says that next serves all requests, and has routes of its own perhaps.
func (p *Probe) Enter(next http.Handler) {
	p.inner = next
	p.Pass(next, nil)
}

// Next stands for what a middleware is around, and takes what the middleware adds to it.
type Next struct{ Endpoint Endpoint }

// ServeHTTP implements http.Handler.
func (n *Next) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if p, ok := w.(*Probe); ok {
		p.Add(n.Endpoint)
	}
}

// module is the path of this module with a slash, also where it was copied into another.
var module = strings.TrimSuffix(reflect.TypeFor[Probe]().PkgPath(), "internal/describe")

// types are those whose ServeHTTP answers a Probe.
var types = map[string]bool{
	"asgi.App": true, "executor.handler": true, "internal/describe.Next": true,
	"openapi.Document": true, "openapi.page": true,
	"tasks/taskshttp.handler": true, "tasks/taskshttp.documented": true,
	"wsx.Server": true, "wsx.jsonrpcHandler": true,
}

// functions are the beginnings of the names of functions that answer a Probe.
var functions = [...]string{
	"asgi.HandleWith[...].func", "asgi.HandleWebSocket.func", "asgi.(*Limits).Wrap.func",
	"asgi.(*App).Live.func", "asgi.(*App).Ready.func",
	"openapi.Describe.func", "openapi.(*Document).ServeHTTP-fm",
	"wsx.(*Hub).SSE.func", "wsx.(*Server).ServeHTTP-fm", "wsx.Authenticator.middleware.func",
}

// middlewares are the beginnings of the names of middlewares that make such a function.
var middlewares = [...]string{
	"openapi.Defaults.func", "wsx.Authenticator.Middleware-fm", "wsx.Authenticator.Optional-fm",
}

// Of is what h tells of itself. It is false where h is no handler of this module, or one that knows
// nothing.
func Of(h http.Handler) ([]Endpoint, bool) {
	p := ask(h)
	return p.endpoints, p.answered
}

// ask is a Probe that h has answered, an empty one where h is none of ours.
func ask(h http.Handler) *Probe {
	var p Probe
	for {
		f, ok := h.(http.HandlerFunc)
		if !ok || f == nil {
			break
		}
		inner := receiver(f)
		if inner == nil {
			break
		}
		h = inner
	}
	if ours(h) {
		h.ServeHTTP(&p, nil)
	}
	return &p
}

// Inner is the handler that h hands all requests to, nil where h does not tell.
func Inner(h http.Handler) http.Handler { return ask(h).inner }

func ours(h http.Handler) bool {
	if f, ok := h.(http.HandlerFunc); ok {
		return f != nil && named(f, functions[:])
	}
	t := reflect.TypeOf(h)
	if t == nil {
		return false
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	path, inside := strings.CutPrefix(t.PkgPath(), module)
	name, _, _ := strings.Cut(t.Name(), "[")
	return inside && types[path+"."+name]
}

// Middleware is what a middleware of this module adds to the endpoints that it is around, false
// where it is not of this module or adds nothing.
func Middleware(mw func(http.Handler) http.Handler) (Endpoint, bool) {
	if mw == nil || !named(mw, middlewares[:]) {
		return Endpoint{}, false
	}
	found, ok := Of(mw(&Next{}))
	if !ok || len(found) != 1 {
		return Endpoint{}, false
	}
	return found[0], true
}

// named reports whether the function f has a name that begins as one of these. A closure has that
// of the function that made it, and what is behind: asgi.Handle[...].func1.
func named(f any, names []string) bool {
	name, inside := strings.CutPrefix(runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name(),
		module)
	if !inside {
		return false
	}
	for _, n := range names {
		if strings.HasPrefix(name, n) {
			return true
		}
	}
	return false
}
