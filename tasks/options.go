package tasks

import (
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
	// Store keeps the tasks; default NewMemStore(), which forgets them with the process. Whoever made the store closes it, after Stop.
	Store Store
	// Executor runs what RegisterIsolated registers. It is started before the Manager and stopped after it. Default none.
	Executor *executor.Executor
	// Queues are the queues by name. "default" and those that registered kinds name exist without being listed here, with the defaults. A task for any other is
	// refused with ErrNotFound.
	Queues map[string]QueueOptions
	// AnyKind lets Submit take kinds that are not registered here, for a manager that runs them elsewhere. Their payload is not checked. Default: ErrNotFound.
	AnyKind bool

	// Lease is how long a task is held without a heartbeat; default 30 s, 1 ms at least. It is renewed every third of it. All managers of a store use the same.
	Lease time.Duration
	// Retention is how long finished tasks are kept; default 24 h, below 0 for ever.
	Retention time.Duration
	// MaxPayload is the most bytes of a payload, and of a result; default 1 MiB.
	MaxPayload int

	// Owner names this manager in the tasks it holds. No two that are alive may have the same. One that starts takes tasks held in its name for lost by its
	// predecessor at once, without waiting for their lease: for a store with one process a fixed name is best. Default: a name that nobody had before.
	Owner string
	// Clock is the time; default the machine's.
	Clock Clock
	// Logger gets what goes wrong with nobody to tell; default slog.Default().
	Logger *slog.Logger
}

// QueueOptions configures one queue of one manager. The zero value of every field means its default.
type QueueOptions struct {
	// Concurrency is how many tasks of the queue run here at once; default 10, below 0 none: tasks are submitted here and run elsewhere.
	Concurrency int
	// KeyLimit is how many tasks with one SubmitOptions.Key run here at once; default no limit.
	KeyLimit int
	// Rate is how many tasks a second begin here, in the long run; default no limit.
	Rate float64
	// Burst is how many may begin at once after a rest, where there is a Rate; default 1.
	Burst int
	// MaxWaiting is how many tasks may wait in the queue; default 1,000,000, below 0 no limit. A submit over it is ErrOverloaded.
	MaxWaiting int
}

const (
	maxMetadata      = 32
	maxMetadataBytes = 4 << 10
	maxName          = 128
	maxKey           = 256
	maxMessage       = 4 << 10  // of a TaskError
	maxDetail        = 64 << 10 // of a TaskError
	maxNote          = 56 << 10 // progress data, a checkpoint: with message and envelope it must fit the 64 KiB of a frame of the executor
	maxSaying        = 1 << 10  // of progress, its message
	maxDeaths        = 3
)

func (in *Options) withDefaults() Options {
	var o Options
	if in != nil {
		o = *in
	}
	if o.Store == nil {
		o.Store = NewMemStore()
	}
	o.Lease = orDefault(o.Lease, 30*time.Second)
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
	return strings.Join([]string{host, strconv.Itoa(os.Getpid()), rand.Text()}, "-")
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
