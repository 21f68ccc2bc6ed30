package executor

import (
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits that are not options.
const (
	noteMax = 64 << 10 // a progress value, log record, error text, stack or standard error kept
	nameMax = 128      // a function's name
)

// Options configures an Executor. The zero value of every field means its default.
type Options struct {
	// Workers is how many worker processes may run calls at once; default GOMAXPROCS.
	Workers int
	// Spares is how many more processes are kept started, so that a dead one is replaced at once;
	// default 1, below 0 none.
	Spares int
	// CallsPerWorker is how many calls one worker runs at once; default 1. With more, calls are
	// cheaper and share the fate of their worker.
	CallsPerWorker int
	// Procs is GOMAXPROCS in a worker; default 1.
	Procs int
	// Queue is how many calls of the process pool may wait; default 1024, below 0 none.
	Queue int
	// KeyLimit is how many calls with one CallOptions.Key may run at once in the process pool;
	// default no limit.
	KeyLimit int

	// Blocking bounds the calls of RunBlocking that name no class.
	Blocking ClassOptions
	// Classes are the classes CallOptions.Class may name, such as one for each database. A class
	// that is not here is an error.
	Classes map[string]ClassOptions

	// Validator looks at each input that is a struct before its call queues, and gets a pointer to
	// it: what its error says reaches the caller as that of the type's own method Validate() error
	// would. Default none, or that of the call's context (asgi.ContextWithValidator). It is called
	// by many goroutines at a time.
	Validator func(v any) error

	// Middleware is called around every call of this Executor, whichever way it comes, the first
	// one outermost; default none. It is around the wait in the queue, too, in the caller's
	// goroutine, but for functions of Go: around those it is in the pool's, when they begin. A
	// panic of the function is a PanicError to it.
	Middleware []Middleware

	// MaxPayload is the size in bytes that one value or stream may have, in either direction;
	// default 64 MiB.
	MaxPayload int64
	// MemoryLimit is how many bytes of memory a worker may take beyond what it starts with
	// (RLIMIT_DATA, Linux only), its Go memory limit being 85 % of that; default 1 GiB, below 0
	// none.
	MemoryLimit int64
	// RecycleRSS replaces an idle worker with more than this many bytes resident (Linux only);
	// default half of MemoryLimit, below 0 never.
	RecycleRSS int64
	// RecycleCalls replaces a worker after this many calls; default never.
	RecycleCalls int

	// StartTimeout is how long a new process may take to its first answer; default 10 s.
	StartTimeout time.Duration
	// CancelGrace is how long a function may go on after its context ended, before SIGTERM; default
	// 30 ms.
	CancelGrace time.Duration
	// TermGrace is how long a worker may go on after SIGTERM, before SIGKILL; default 20 ms.
	TermGrace time.Duration

	// Env adds to a worker's environment: "NAME" copies a variable of this process, "NAME=value"
	// sets one.
	Env []string
	// Stderr gets what workers write to standard output and error; default os.Stderr. It is called
	// from one goroutine. Nothing waits for it: what it does not take is dropped beyond 1 MiB, and
	// how much that was is written to it.
	Stderr io.Writer
	// Logger gets crashes, restarts and, where a call has none of its own, log records of
	// functions; default slog.Default().
	Logger *slog.Logger
}

// ClassOptions bounds one class of the blocking pool. The zero value of every field means its
// default.
type ClassOptions struct {
	// Concurrency is how many calls run at once; default 64.
	Concurrency int
	// Queue is how many calls may wait; default 1024, below 0 none.
	Queue int
	// KeyLimit is how many calls with one CallOptions.Key may run at once; default no limit.
	KeyLimit int
}

// CallOptions are the options of one call. The zero value of every field means its default.
type CallOptions struct {
	// Priority orders the queue: higher first, and first come first served among equals; default 0.
	Priority int
	// Key groups calls for KeyLimit, such as a tenant's; default no group.
	Key string
	// Wait makes the call wait for a place in a full queue rather than end with ErrOverloaded.
	Wait bool

	// Class names the class of a blocking call; default the one of Options.Blocking. The process
	// pool has no classes.
	Class string

	// Progress gets what the function gives to Progress, in order, in the goroutine of the caller.
	// When it is slower than the function, the function waits, or older values are dropped, never
	// the last. Process pool only.
	Progress func(value jsontext.Value)
	// Logger gets what the function logs by Logger; default the executor's. Process pool only.
	Logger *slog.Logger
	// Input is what the function reads from Input. It is read to its end before the call queues.
	// Process pool only.
	Input io.Reader
	// Output gets what the function wrote to Output, once it has succeeded. Process pool only.
	Output io.Writer
}

func withDefaults(in *Options) Options {
	var o Options
	if in != nil {
		o = *in
	}
	procs := runtime.GOMAXPROCS(0)
	o.Workers = orDefault(o.Workers, procs)
	o.Spares = orDefault(o.Spares, 1)
	o.CallsPerWorker = orDefault(o.CallsPerWorker, 1)
	o.Procs = orDefault(o.Procs, 1)
	o.Queue = orDefault(o.Queue, 1024)
	o.MaxPayload = orDefault(o.MaxPayload, 64<<20)
	o.MemoryLimit = orDefault(o.MemoryLimit, 1<<30)
	o.RecycleRSS = orDefault(o.RecycleRSS, o.MemoryLimit/2)
	o.StartTimeout = orDefault(o.StartTimeout, 10*time.Second)
	o.CancelGrace = orDefault(o.CancelGrace, 30*time.Millisecond)
	o.TermGrace = orDefault(o.TermGrace, 20*time.Millisecond)
	o.Middleware = slices.Clone(o.Middleware)
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// orDefault gives def for 0 and 0 for what is below, which stands for "none".
func orDefault[T ~int | ~int64](v, def T) T {
	if v == 0 {
		return def
	}
	return max(v, 0)
}
