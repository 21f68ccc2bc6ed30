package wsx

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// Dispatcher holds the methods that peers may call. Register them with [Handle] and [HandleNotify].
//
// It is safe for concurrent use: methods may be added while others are called, and a lookup takes
// no lock. What is wrong with a registration is a mistake in the program and panics with a text
// that says what, as net/http's patterns do.
type Dispatcher struct {
	table atomic.Pointer[map[string]*method]

	mu         lockorder.Mutex // for changes
	middleware []func(Handler) Handler
	validator  func(v any) error
	// where this dispatcher was mounted, for the text of panics; it takes no changes then
	mounted string
	closed  bool
}

// Handler runs one call. What it returns as an error ends the call; see [Error] for what of it the
// peer sees. Middleware wraps it.
type Handler func(ctx context.Context, r *Request) error

// Request is one call on its way to its method, as middleware and, through [RequestFrom], handlers
// see it. It and its bytes are valid until the handler returns; whoever keeps some of it longer
// copies it.
type Request struct {
	// Method is the method's whole name, the prefixes of mounts included.
	Method string
	// Params is the params as the peer wrote them, nil when there are none. Those that JSON-RPC
	// gave by position have their names here.
	Params jsontext.Value
	// Meta is the message's meta object as the peer wrote it, nil when there is none.
	Meta jsontext.Value
	// Notify says that nothing is answered, neither result nor error.
	Notify bool
	// Emit gets the items of a method of HandleStream, one after the other, as JSON that is valid
	// until it returns. It waits while the caller does not keep up; its error ends the method. nil,
	// as for all other methods, drops them: only the result is wanted.
	Emit func(item jsontext.Value) error
	// Report gets what the method reports of its progress, as Emit gets items, but from any
	// goroutine; nil when the caller did not ask for it.
	Report func(progress jsontext.Value) error

	validator func(v any) error // the dispatcher's
	result    appender          // the result is encoded to its end
	// its place among the calls of a serial method; nil until it has one
	place      *serialPlace
	dialect    wire.Dialect
	positional *positional // how Params were an array; nil when they were none
}

// JSONRPC reports whether the call came as JSON-RPC 2.0, so that its caller reads an error's number
// and not its code.
func (r *Request) JSONRPC() bool { return r.dialect == wire.JSONRPC }

// Method describes a registered method.
type Method struct {
	// Name is the whole name, the prefixes of mounts included.
	Name string
	// Kind is "request" for Handle, "stream" for HandleStream and "notification" for HandleNotify.
	Kind string
	// In is the type of the params. Out is the type of the result, nil for a notification. Item is
	// that of a stream's items, else nil.
	In, Out, Item reflect.Type
	// Doc is what Describe said of it.
	Doc string
}

// method is a registered method with the middleware around it.
type method struct {
	Method
	handler    Handler
	stream     bool
	serial     *serialMethods // nil for methods whose calls do not wait for each other
	pace       *pace          // of this name
	positional *positional
	validator  func(v any) error // nil is that of the context
}

// requestKey is the key of the *Request in a handler's context.
type requestKey struct{}

// RequestFrom returns the request that the handler which was given ctx answers, nil outside of a
// handler. It is valid until that handler returns.
func RequestFrom(ctx context.Context) *Request {
	r, _ := ctx.Value(requestKey{}).(*Request)
	return r
}

// NewDispatcher returns a dispatcher without methods.
func NewDispatcher() *Dispatcher {
	d := &Dispatcher{}
	d.table.Store(&map[string]*method{})
	return d
}

// Use adds middleware: mw gets the handler to call next and returns the one to call in its place,
// once for each method, when that is registered. The middleware that was added first is the
// outermost. It runs for this dispatcher's methods and those of the dispatchers mounted on it, but
// not for names that nobody registered. It must be added before methods and mounts, so that none
// can slip past it; otherwise Use panics.
func (d *Dispatcher) Use(mw ...func(next Handler) Handler) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checkOpenLocked("Use")
	for _, m := range mw {
		if m == nil {
			panic("wsx: Use: the middleware is nil")
		}
	}
	if len(*d.table.Load()) > 0 {
		panic("wsx: Use after methods were registered: they would go without it")
	}
	d.middleware = append(d.middleware, mw...)
}

// UseValidator sets what looks at the params of methods that are structs, once they are decoded and
// before their own method Validate() error is called: it gets a pointer to them, and its error is
// taken as [Handle] says of that method's. It is for this dispatcher's methods and for those of the
// dispatchers mounted on it that have none of their own; without any it is that of the request's
// context (asgi.ContextWithValidator). It is called by many goroutines at a time. It must be set
// before methods and mounts are added, so that none can slip past it; otherwise UseValidator
// panics.
func (d *Dispatcher) UseValidator(validate func(v any) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checkOpenLocked("UseValidator")
	if len(*d.table.Load()) > 0 {
		panic("wsx: UseValidator after methods were registered: they would go without it")
	}
	d.validator = validate
}

// Mount adds the methods of other, with their middleware, under prefix and a dot; an empty prefix
// adds them under their own names. From then on other takes no more changes: its registrations and
// its Use panic. It panics when a name is taken or would be invalid.
func (d *Dispatcher) Mount(prefix string, other *Dispatcher) {
	if other == nil {
		panic(fmt.Sprintf("wsx: Mount(%q): the dispatcher is nil", prefix))
	}
	if other == d {
		panic("wsx: a dispatcher mounted on itself")
	}
	other.mu.Lock()
	other.closed, other.mounted = true, prefix
	other.mu.Unlock()

	var add []*method
	for _, m := range *other.table.Load() {
		moved := *m
		if prefix != "" {
			moved.Name = prefix + "." + m.Name
		}
		add = append(add, &moved)
	}
	d.add(add...)
}

// Describe sets the text that Methods gives for a method. It panics when there is no method of that
// name.
func (d *Dispatcher) Describe(name, doc string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.checkOpenLocked("Describe")
	m := (*d.table.Load())[name]
	if m == nil {
		panic(fmt.Sprintf("wsx: Describe(%q): no such method", name))
	}
	described := *m
	described.Doc = doc
	d.storeLocked(&described)
}

// Methods describes all methods, those of mounted dispatchers included, sorted by name.
func (d *Dispatcher) Methods() []Method {
	table := *d.table.Load()
	all := make([]Method, 0, len(table))
	for _, m := range table {
		all = append(all, m.Method)
	}
	slices.SortFunc(all, func(a, b Method) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Call runs a method in this process, middleware included, and returns its result as JSON: "null"
// when it has none. Params may be nil. The error is the handler's own, not what a peer would be
// told of it, or a *Error with METHOD_NOT_FOUND or INVALID_PARAMS; a panic is returned as an error.
// Of a method with a stream it returns the result alone.
func (d *Dispatcher) Call(ctx context.Context, name string, params jsontext.Value) (jsontext.Value,
	error,
) {
	return d.Serve(ctx, &Request{Method: name, Params: params})
}

// Serve is Call for who has more to say: it runs the method that r names and hands what comes
// before the result to r.Emit and r.Report. A transport of one's own stands on it. r is for one
// call.
func (d *Dispatcher) Serve(ctx context.Context, r *Request) (jsontext.Value, error) {
	m := d.lookup([]byte(r.Method))
	if m == nil {
		return nil, methodNotFound(r.Method)
	}
	if err := m.call(context.WithValue(ctx, requestKey{}, r), r); err != nil {
		return nil, err
	}
	return jsontext.Value(r.result.b), nil
}

// add registers methods under this dispatcher's middleware: all of them or, with a panic, none.
func (d *Dispatcher) add(add ...*method) {
	if d == nil {
		panic(fmt.Sprintf("wsx: method %q: the dispatcher is nil", add[0].Name))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	table := *d.table.Load()
	d.checkOpenLocked("new method")
	for _, m := range add {
		if err := checkName(m.Name); err != nil {
			panic(err.Error())
		}
		if table[m.Name] != nil {
			panic(fmt.Sprintf("wsx: method %q is registered already", m.Name))
		}
		for _, mw := range slices.Backward(d.middleware) {
			if m.handler = mw(m.handler); m.handler == nil {
				panic(fmt.Sprintf("wsx: method %q: middleware returned no handler", m.Name))
			}
		}
		if m.validator == nil {
			m.validator = d.validator
		}
		m.stream = m.Kind == kindStream
		m.pace, m.positional = new(pace), positionalOf(m.In)
	}
	d.storeLocked(add...)
}

// storeLocked replaces the table by one that holds these methods too: readers keep the one they
// have.
func (d *Dispatcher) storeLocked(changed ...*method) {
	table := maps.Clone(*d.table.Load())
	for _, m := range changed {
		table[m.Name] = m
	}
	d.table.Store(&table)
}

func (d *Dispatcher) checkOpenLocked(what string) {
	if d.closed {
		panic(fmt.Sprintf("wsx: %s: this dispatcher was mounted (as %q) and takes no more changes",
			what, d.mounted))
	}
}

// checkName refuses names that no peer could call or that are the protocol's.
func checkName(name string) error {
	if name == "" || len(name) > wire.MaxMethod {
		return fmt.Errorf("wsx: method name %q has not 1 to %d bytes", name, wire.MaxMethod)
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c > '~' || c == '"' || c == '\\' {
			return fmt.Errorf(
				"wsx: method name %q: only visible ASCII without quotes and backslashes", name)
		}
	}
	if slices.Contains(strings.Split(name, "."), "") {
		return fmt.Errorf("wsx: method name %q has an empty part between dots", name)
	}
	if reserved(name) {
		return fmt.Errorf(
			"wsx: method name %q: names that start with rpc. and wsx. are the protocol's", name)
	}
	return nil
}

// reserved reports whether a name is the protocol's.
func reserved(name string) bool {
	return strings.HasPrefix(name, "rpc.") || strings.HasPrefix(name, "wsx.")
}

// lookup returns the method of that name, or nil. It does not allocate.
func (d *Dispatcher) lookup(name []byte) *method { return (*d.table.Load())[string(name)] }

// call runs the method. Its result is at the end of r.result, unless there is an error: then
// r.result is as long as before. A panic is an error of type *panicError. The context must give r
// for requestKey.
func (m *method) call(ctx context.Context, r *Request) (err error) {
	r.Method, r.validator = m.Name, m.validator
	if m.serial != nil {
		if r.place == nil {
			r.place = m.serial.enter(ctx, r)
		}
		if err := r.place.wait(ctx); err != nil {
			return err
		}
		defer r.place.leave()
	}
	before := len(r.result.b)
	defer func() {
		if v := recover(); v != nil {
			err = caught(v)
		}
		if err != nil {
			r.result.b = r.result.b[:before]
			if r.positional != nil {
				err = r.positional.repath(err)
			}
		}
	}()
	if r.dialect == wire.JSONRPC {
		if err := r.position(m); err != nil {
			return err
		}
	}
	if err := m.handler(ctx, r); err != nil {
		return err
	}
	if len(r.result.b) == before && !r.Notify {
		// a notification's method, or middleware that did not call the method
		r.result.b = append(r.result.b, "null"...)
	}
	return nil
}

// methodNotFound is the error for a name that nobody registered.
func methodNotFound(name string) *Error {
	return &Error{Code: CodeMethodNotFound, Details: methodDetails{Method: name}}
}

type methodDetails struct {
	Method string `json:"method"`
}
