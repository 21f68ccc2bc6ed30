package executor

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"runtime"
	"slices"
	"strconv"

	"github.com/genropy/genro-asgi-go/executor/internal/proc"
	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/internal/typed"
)

// Func is a function that runs in worker processes. It is made by NewFunc in a package variable.
type Func[In, Out any] struct {
	name string
	in   *inputCodec[In]
	out  *outputCodec[Out]
}

// NewFunc registers fn under name, of at most 128 bytes and unique in the program, and returns it
// as a value to call. It panics on a bad or taken name, as it is for package variables:
//
//	var thumbnail = executor.NewFunc("thumbnail", makeThumbnail)
//
// In and Out are what JSON can hold in both directions, or []byte, else NewFunc panics. In a worker
// fn gets a context that ends with its caller's; calls may run at once if Options.CallsPerWorker
// allows.
func NewFunc[In, Out any](name string, fn func(context.Context, In) (Out, error)) *Func[In, Out] {
	if name == "" || len(name) > nameMax || fn == nil {
		panic(
			fmt.Sprintf("executor: NewFunc(%q): a function and a name of 1 to %d bytes are needed",
				name, nameMax))
	}
	f, err := compile[In, Out](name)
	if err != nil {
		panic(fmt.Sprintf("executor: NewFunc(%q): %v", name, err))
	}
	registered.Lock()
	defer registered.Unlock()
	if _, taken := registered.funcs[name]; taken {
		panic(fmt.Sprintf("executor: NewFunc(%q): the name is taken", name))
	}
	if registered.funcs == nil {
		registered.funcs = make(map[string]registration)
	}
	registered.funcs[name] = registration{
		types: fmt.Sprintf("%T", fn),
		call: func(ctx context.Context, body []byte, reply *bytes.Buffer) error {
			var in In
			err := f.in.receive(body, &in)
			if err == nil {
				// again, for what it may prepare that does not travel
				err = typed.Validate(nil, &in)
			}
			if err != nil {
				return &stageError{err, false}
			}
			out, err := fn(ctx, in)
			if err != nil {
				return err
			}
			if err := f.out.write(reply, &out); err != nil {
				return &stageError{err, true}
			}
			return nil
		},
		empty: func(reply *bytes.Buffer) error {
			var out Out
			return f.out.write(reply, &out)
		},
	}
	return f
}

// Name is the name given to NewFunc.
func (f *Func[In, Out]) Name() string { return f.name }

// Run runs the function in a worker process of ex and returns what it returns; see the package's
// contract for how a call ends. ctx governs the wait in the queue and the function itself.
func (f *Func[In, Out]) Run(ctx context.Context, ex *Executor, in In) (Out, error) {
	return f.RunWith(ctx, ex, in, nil)
}

// RunWith is Run with options. Nil options are the defaults.
//
// Before the call queues, Options.Validator looks at an In that is a struct, and then the method
// Validate() error of In or *In is called, if there is one; the error of either is an [InputError].
// The method is called again in the worker, on what arrived there.
func (f *Func[In, Out]) RunWith(ctx context.Context, ex *Executor, in In,
	opts *CallOptions,
) (out Out, err error) {
	if opts == nil {
		opts = &defaultCall
	}
	if ex == nil || f == nil {
		return out, errNil
	}
	if len(ex.opts.Middleware) == 0 {
		return f.run(ctx, ex, in, opts, nil)
	}
	return f.runThrough(ctx, ex, in, opts)
}

// runThrough runs the function with the middleware of ex around the call.
func (f *Func[In, Out]) runThrough(ctx context.Context, ex *Executor, in In,
	opts *CallOptions,
) (Out, error) {
	c := &CallInfo{Func: f.name}
	return through(ctx, ex.opts.Middleware, c,
		func(ctx context.Context) (Out, error) { return f.run(ctx, ex, in, opts, c) })
}

// run runs the function. info is what the middleware has of the call, nil where there is none.
func (f *Func[In, Out]) run(ctx context.Context, ex *Executor, in In, opts *CallOptions,
	info *CallInfo,
) (out Out, err error) {
	if !ex.pool.running.Load() {
		return out, fmt.Errorf("%w: function %q: Start comes first, Stop last", ErrNotRunning,
			f.name)
	}
	if err := f.in.validate(ctx, ex, f.name, &in); err != nil {
		return out, err
	}
	c := calls.Get().(*call)
	c.name = f.name
	defer c.recycle()
	if err := c.prepare(ctx, ex, opts, info); err != nil {
		return out, err
	}
	if err := f.in.send(&c.request, &in); err != nil {
		return out, inputError(f.name, err)
	}
	if err := c.seal(ex); err != nil {
		return out, err
	}
	err = ex.pool.do(ctx, c, opts)
	if info != nil {
		info.PID = c.pid
	}
	if err != nil {
		return out, err
	}
	if err := f.out.read(c.result, &out); err != nil {
		return out, fmt.Errorf("%w: function %q: %w", ErrResult, f.name, err)
	}
	return out, c.deliver(ex, opts)
}

// registered are the functions a worker knows, and what is around them. The registry is global by
// nature: package variables fill it, and main does until Main, in this process and in every worker
// alike.
var registered struct {
	lockorder.RWMutex
	funcs  map[string]registration
	around []Middleware // of worker processes, outermost first
	served bool         // Main was called
}

type registration struct {
	call  func(ctx context.Context, in []byte, reply *bytes.Buffer) error
	empty func(reply *bytes.Buffer) error // writes the zero value
	types string
}

// lookup is the function of a name, without a call where none is registered.
func lookup(name string) registration {
	registered.RLock()
	defer registered.RUnlock()
	return registered.funcs[name]
}

// workerMiddleware is what UseWorker was given; from now on it takes no more.
func workerMiddleware() []Middleware {
	registered.Lock()
	defer registered.Unlock()
	registered.served = true
	return registered.around
}

func registryEmpty() bool {
	registered.RLock()
	defer registered.RUnlock()
	return len(registered.funcs) == 0
}

// registryID is a hash of all names and types.
func registryID() string {
	registered.RLock()
	defer registered.RUnlock()
	h := fnv.New64a()
	for _, name := range slices.Sorted(maps.Keys(registered.funcs)) {
		fmt.Fprintf(h, "%s %s\n", name, registered.funcs[name].types)
	}
	return strconv.FormatUint(h.Sum64(), 16)
}

// buildID tells apart two builds of the program: a worker of another one knows other functions or
// other types.
func buildID() string { return runtime.Version() + " " + registryID() + proc.ID() }
