package executor

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json"
)

// Func is a function that runs in worker processes. It is made by NewFunc in a package variable.
type Func[In, Out any] struct {
	name          string
	rawIn, rawOut bool // []byte, which travels as it is
}

// registered are the functions a worker knows. The registry is global by nature: package variables fill it, in this process and in every worker
// alike, before main begins.
var registered struct {
	sync.RWMutex
	funcs map[string]registration
}

type registration struct {
	call  func(ctx context.Context, in []byte, reply *bytes.Buffer) error
	types string
}

// NewFunc registers fn under name, of at most 128 bytes and unique in the program, and returns it as a value to call. It panics on a bad or
// taken name, as it is for package variables:
//
//	var thumbnail = executor.NewFunc("thumbnail", makeThumbnail)
//
// In and Out are what JSON can hold, or []byte. In a worker fn gets a context that ends with its caller's; calls may run at once if Options.CallsPerWorker allows.
func NewFunc[In, Out any](name string, fn func(context.Context, In) (Out, error)) *Func[In, Out] {
	f := &Func[In, Out]{name: name}
	_, f.rawIn = any((*In)(nil)).(*[]byte)
	_, f.rawOut = any((*Out)(nil)).(*[]byte)
	if name == "" || len(name) > nameMax || fn == nil {
		panic(fmt.Sprintf("executor: NewFunc(%q): a function and a name of 1 to %d bytes are needed", name, nameMax))
	}
	registered.Lock()
	defer registered.Unlock()
	if _, taken := registered.funcs[name]; taken {
		panic(fmt.Sprintf("executor: NewFunc(%q): the name is taken", name))
	}
	if registered.funcs == nil {
		registered.funcs = make(map[string]registration)
	}
	registered.funcs[name] = registration{types: fmt.Sprintf("%T", fn), call: func(ctx context.Context, body []byte, reply *bytes.Buffer) error {
		var in In
		if err := decode(body, &in, f.rawIn); err != nil {
			return err
		}
		out, err := fn(ctx, in)
		if err != nil {
			return err
		}
		return encode(reply, &out, f.rawOut)
	}}
	return f
}

func lookup(name string) func(context.Context, []byte, *bytes.Buffer) error {
	registered.RLock()
	defer registered.RUnlock()
	return registered.funcs[name].call
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

// Name is the name given to NewFunc.
func (f *Func[In, Out]) Name() string { return f.name }

// Run runs the function in a worker process of ex and returns what it returns; see the package's contract for how a call ends. ctx governs the wait
// in the queue and the function itself.
func (f *Func[In, Out]) Run(ctx context.Context, ex *Executor, in In) (Out, error) {
	return f.RunWith(ctx, ex, in, nil)
}

// RunWith is Run with options. Nil options are the defaults.
func (f *Func[In, Out]) RunWith(ctx context.Context, ex *Executor, in In, opts *CallOptions) (out Out, err error) {
	if opts == nil {
		opts = &defaultCall
	}
	if ex.pool == nil || !ex.pool.running.Load() {
		return out, ErrNotRunning
	}
	c := calls.Get().(*call)
	c.name = f.name
	defer c.recycle()
	if err := c.prepare(ex, opts); err != nil {
		return out, err
	}
	if err := encode(&c.request, &in, f.rawIn); err != nil {
		return out, err
	}
	if err := c.seal(ex); err != nil {
		return out, err
	}
	if err := ex.pool.do(ctx, c, opts); err != nil {
		return out, err
	}
	if err := decode(c.result, &out, f.rawOut); err != nil {
		return out, err
	}
	return out, c.deliver(ex, opts)
}

func encode[T any](b *bytes.Buffer, v *T, raw bool) error {
	if raw {
		b.Write(*any(v).(*[]byte))
		return nil
	}
	if err := json.MarshalWrite(b, v); err != nil {
		return fmt.Errorf("executor: encode: %w", err)
	}
	return nil
}

func decode[T any](body []byte, v *T, raw bool) error {
	if raw {
		*any(v).(*[]byte) = bytes.Clone(body)
		return nil
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("executor: decode: %w", err)
	}
	return nil
}
