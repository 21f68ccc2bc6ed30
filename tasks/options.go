package tasks

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/genropy/genro-asgi-go/executor"
)

// defaultQueue is the queue of tasks that name none.
const defaultQueue = "default"

// Options configures a Manager. The zero value of every field means its default.
type Options struct {
	// Executor runs what RegisterIsolated registers. It is started before the Manager and stopped
	// after it. Default none.
	Executor *executor.Executor
	// Queues are the queues by name. "default" and those that registered kinds name exist without
	// being listed here, with the defaults. A task for any other is refused with ErrNotFound.
	Queues map[string]QueueOptions
	// AnyKind lets Submit take kinds that are not registered here, for a manager that runs them
	// elsewhere. Their payload is not checked. Default: ErrNotFound.
	AnyKind bool

	// Lease is how long a task is held without a heartbeat; default 30 s, 1 ms at least. It is
	// renewed every third of it. All managers of a store use the same.
	Lease time.Duration
	// MaxDeaths is how many deaths make a task dead; default 3, below 0 none, so that what kills
	// its process does so again and again. Deaths add up that come within DeathWindow of each
	// other, default an hour, below 0 however far apart. A checkpoint that is new, a run that lasts
	// longer than the one that died, and one that ends without a death begin the count anew; but
	// ten times MaxDeaths altogether make a task dead whatever it wrote.
	MaxDeaths   int
	DeathWindow time.Duration
	// Retention is how long finished tasks are kept; default 24 h, below 0 for ever.
	Retention time.Duration
	// MaxPayload is the most bytes of a payload, and of a result; default 1 MiB.
	MaxPayload int

	// Validator looks at each payload that is a struct when a task is submitted or scheduled, and
	// gets a pointer to it; its error is taken as that of the type's own method Validate() error
	// would be. Default none, or that of the submit's context (asgi.ContextWithValidator). It is
	// called by many goroutines at a time.
	Validator func(v any) error

	// Middleware is called around each run of a task of any kind, the first of them outermost;
	// default none.
	Middleware []Middleware
	// SubmitMiddleware is called around each submit, the first of them outermost: Submit's, that of
	// each task of SubmitMany, and of each occurrence of a schedule, ahead of its time; default
	// none. It is for what is to go with the task, such as the trace that it belongs to: what it
	// puts into s.Options.Metadata is the task's, and its runs have it (Run.Metadata), after a
	// restart and in worker processes too. It counts for the limits of metadata.
	//
	// It gets what is of a known kind, with a payload that fits. s.Options are a copy of the
	// caller's, never nil and with Metadata that may be added to; of the rest of s nothing is to be
	// changed. It calls next once, with ctx or one made of it, and returns next's error or another
	// in its place, which is the submit's; after next the task is in s.Task, which may be one that
	// was there already. An error that it makes of a success takes nothing back. Without next
	// nothing is submitted. The calls for the tasks of a batch are inside of each other, around
	// the one write that adds all, each with SubmitMany's own ctx, which is the write's too.
	SubmitMiddleware []func(ctx context.Context, s *Submission,
		next func(ctx context.Context) error) error
	// OnFinish is told of every task that this manager has brought to its end, once it is in the
	// store: succeeded, failed, dead, or cancelled by this manager. It is called by the goroutine
	// that did so, several at once, and should be quick: the task's place is taken until it
	// returns. A panic of it is logged. Default none. What fails is logged without it.
	OnFinish func(t *Task)

	// Owner names this manager in the tasks it holds. No two that are alive may have the same. One
	// that starts takes tasks held in its name for lost by its predecessor at once, without waiting
	// for their lease: for a store with one process a fixed name is best. Default: a name that
	// nobody had before.
	Owner string
	// Clock is the time; default the machine's.
	Clock Clock
	// Logger gets a line for each end of a run that is no success, with the task's ID, kind,
	// attempt and error, and never its payload: failed and dead at level ERROR, an attempt that is
	// followed by another and a death at WARN, cancelled at INFO; and what goes wrong with nobody
	// to tell. Default slog.Default().
	Logger *slog.Logger
}

// QueueOptions configures one queue of one manager. The zero value of every field means its
// default.
type QueueOptions struct {
	// Concurrency is how many tasks of the queue run here at once; default 10, below 0 none: tasks
	// are submitted here and run elsewhere.
	Concurrency int
	// KeyLimit is how many tasks with one SubmitOptions.Key run here at once; default no limit.
	KeyLimit int
	// Rate is how many tasks a second begin here, in the long run; default no limit.
	Rate float64
	// Burst is how many may begin at once after a rest, where there is a Rate; default 1.
	Burst int
	// MaxWaiting is how many tasks may wait in the queue; default 1,000,000, below 0 no limit. A
	// submit over it is ErrOverloaded.
	MaxWaiting int
}

const (
	maxMetadata      = 32
	maxMetadataBytes = 4 << 10
	maxName          = 128
	maxKey           = 256
	maxMessage       = 4 << 10  // of a TaskError
	maxDetail        = 64 << 10 // of a TaskError
	maxProblem       = 16 << 10 // of a TaskError, as JSON
	// progress data, a checkpoint: with message and envelope it must fit the 64 KiB of a frame of
	// the executor
	maxNoteSize        = 56 << 10
	maxProgressMessage = 1 << 10 // of progress, its message
)

func (in *Options) withDefaults() Options {
	var o Options
	if in != nil {
		o = *in
	}
	o.Lease = orDefault(o.Lease, 30*time.Second)
	o.MaxDeaths = orDefault(o.MaxDeaths, 3)
	o.DeathWindow = orDefault(o.DeathWindow, time.Hour)
	o.Retention = orDefault(o.Retention, 24*time.Hour)
	o.MaxPayload = orDefault(o.MaxPayload, 1<<20)
	if o.Clock == nil {
		o.Clock = machineClock{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// newOwner makes a name nobody had before.
func newOwner() string {
	host, _ := os.Hostname() // without one the rest is unique all the same
	return strings.Join([]string{
		strings.ToValidUTF8(host, ""), strconv.Itoa(os.Getpid()),
		rand.Text(),
	}, "-")
}

func (o QueueOptions) withDefaults() QueueOptions {
	o.Concurrency = orDefault(o.Concurrency, 10)
	o.MaxWaiting = orDefault(o.MaxWaiting, 1_000_000)
	o.Burst = max(o.Burst, 1)
	return o
}

// orDefault gives def for 0; what is below 0 stands for "none" and is left.
func orDefault[T ~int | ~int64](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}
