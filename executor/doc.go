// Package executor runs work that must not run in the server's own goroutines: calls that block,
// bounded in number, and computations, in worker processes that can be killed.
//
// # Purpose
//
// A goroutine cannot be killed, and a panic in one that the server did not start, a runaway loop,
// or an allocation without end takes the whole process with it. An [Executor] has two pools against
// that:
//
//   - the blocking pool, for calls that wait (a database driver, a file, a system call):
//     [RunBlocking] bounds how many run and how many queue, for all or for each class, and never
//     holds its caller longer than the caller's context; [Executor.Go] does not wait at all;
//   - the process pool, for work that computes, or that may crash: a [Func] runs in one of a few
//     worker processes, which are this same program started again. A worker that overruns its
//     deadline, its memory or itself is killed, and only its own call is lost.
//
// # Use
//
//	// makeThumbnail is a func(context.Context, Params) (Picture, error).
//	var thumbnail = executor.NewFunc("thumbnail", makeThumbnail)
//
//	func main() {
//		executor.Main() // in a worker process: serves calls and never returns
//		ex := executor.New(nil)
//		if err := ex.Start(ctx); err != nil { ... }
//		defer ex.Stop(ctx)
//		picture, err := thumbnail.Run(ctx, ex, params)              // in a worker process
//		rows, err := executor.RunBlocking(ctx, ex, readManyRows)    // in a bounded goroutine
//	}
//
// Main comes first in main: whatever stands before it runs in every worker too, as do package
// variables and init functions. In tests TestMain is the place (see package executortest).
// Functions are registered by NewFunc in package variables, so that both processes know them, and
// what is to be around them in workers by [UseWorker], which alone comes before Main. That registry
// is the only global state of this package, and it is not changed after Main.
//
// # Contract of a call
//
//   - A call ends once: with its value, or with one error. It is never retried here, because the
//     function may have had effects.
//   - A call that finds its queue full ends at once with [ErrOverloaded], unless [CallOptions] asks
//     it to wait.
//   - An input that the Validate() error of In or *In refuses, or that cannot be JSON, ends the
//     call at once with an [InputError] (status 422, or that of the problem that Validate
//     returned).
//   - When its context ends while it queues, it leaves the queue and ends with the context's error.
//   - When its context ends while it runs in a worker, the worker is told (the function's context
//     ends, with the same deadline), after Options.CancelGrace it gets SIGTERM, after
//     Options.TermGrace SIGKILL, with every process of its group. The call ends with the context's
//     error once the function has returned or its process is gone: nothing of it runs any more. A
//     value that comes within the grace is returned.
//   - When its context ends while it runs in the blocking pool, the caller returns at once with the
//     context's error; the function keeps its place until it returns, because a goroutine cannot be
//     stopped. It must not write to what its caller goes on using.
//   - A call that a function of the blocking pool makes in its own class, with its own context,
//     runs in that function's place. There is no such way round the process pool:
//     CallOptions.Progress must not wait for another call of it.
//   - A panic in the function's own goroutine ends the call with a [PanicError]; the worker lives
//     on. An error it returns becomes a [RemoteError], with the text and the StatusCode of the
//     original and its problem.Error, which errors.As finds, and it still is context.Canceled or
//     context.DeadlineExceeded where the original was.
//   - A worker that dies ends its call with a [CrashError] ([ErrWorkerCrashed]): a panic in another
//     goroutine or a fatal error of the runtime, out of memory, a signal, or an exit code, with the
//     end of what it wrote to standard error during the call. Another worker, kept warm, takes its
//     place. On Linux a call that its worker has not begun goes to another one instead.
//   - While the calls of a worker take less than 200 µs each, up to 15 of those that queue wait in
//     its pipe (on Linux, with the default of CallsPerWorker and without RecycleCalls). They still
//     count as queued, leave with their context, and go to another worker as soon as one is idle; a
//     later call of a higher Priority does not overtake them.
//   - A value that cannot be brought back, as it cannot be JSON or is too large, is [ErrResult]:
//     the function had its effects.
//
// The error tells whether the function may have had effects. [ErrOverloaded], [ErrNotRunning],
// [ErrTooLarge], [InputError], [StartError] and a context's error that says "queued" or "not
// begun": none. [RemoteError], [PanicError], [CrashError], [ErrResult] and any other context's
// error: maybe.
//
// With Options.CallsPerWorker above 1 the calls in one worker share its fate.
//
// # Data
//
// In and Out travel as JSON; a []byte travels as it is. Bulk data travels as [CallOptions] Input
// and Output, which the function reads and writes by [Input] and [Output]. Those, and values of
// more than 1 MiB, pass through a memfd on Linux, as a descriptor, and a temporary file elsewhere;
// nothing reaches Output unless the call succeeds. [Progress] and [Logger] send values and log
// records to the caller while the function runs; they are handled in the caller's goroutine, and of
// those that wait for it beyond 64 the oldest values and the newest records are dropped, the latter
// with a line in the log.
//
// # Middleware
//
// [Options] Middleware is around every call: [Func.Run], [RunBlocking], the functions of
// [Executor.Go] and the requests of the handlers. What it puts into [CallInfo] Meta travels with
// the call to the worker, where the middleware of [UseWorker] finds it, so that a trace goes on in
// the worker. Without middleware a call costs no allocation and no byte on the pipe for it.
//
// What functions log by [Logger] is logged with the context of the call: a handler that adds the
// ids of a trace finds them there.
//
// # Isolation
//
// A worker sees the environment variables PATH, HOME, TMPDIR, TZ, LANG and LC_ALL, and what
// Options.Env adds; standard input is empty, standard output goes where standard error goes; every
// other descriptor is closed but the pipes to its parent. It dies when its parent dies, however
// that happens: on Linux the kernel kills its process group, in whatever state it is; elsewhere the
// end of a pipe tells it. This is containment of accidents, not a sandbox: a worker has its
// parent's user and file system.
//
// A worker is the same build as its parent, whatever becomes of the program's file: on Linux it is
// started from the running program itself, and from a copy in memory when the file may not be
// executed any more; elsewhere another content is found out and refused. A worker that cannot be
// started, or dies before it had a call, is started again after 10 ms to 5 s; the log has each kind
// of failure once, and then as often as its number doubles.
//
// As process 1 of a container, or as a subreaper, this process gets the orphans of its workers on
// Linux, and awaits those that stayed in the worker's process group. One that left it (a daemon) is
// left to an init: run the container with one (docker run --init).
//
// Linux has all of this. macOS lacks the memory limit, the recycling by size and the kernel's own
// kill of orphans; Windows lacks those, SIGTERM, process groups and the closing of strange
// descriptors (it inherits none).
//
// # Limits and defaults
//
//   - Workers: GOMAXPROCS processes, 1 warm spare, 1 call in each, GOMAXPROCS=1 in each, 1,024
//     calls queued.
//   - Blocking pool, and each class: 64 running, 1,024 queued.
//   - A value, or a stream, in either direction: 64 MiB. A frame on a pipe: 1 MiB and a header. A
//     progress value or a log record: 64 KiB.
//   - What middleware sends along, CallInfo.Meta: 4 KiB.
//   - An error's text: 64 KiB. An error with its problem: 1 MiB; of a larger problem the status,
//     the code and the detail remain.
//   - Memory of a worker beyond what it starts with: 1 GiB; its Go memory limit is 85 % of that. It
//     is replaced when it idles with half of it resident.
//   - First answer of a worker 10 s; cancel grace 30 ms; SIGTERM grace 20 ms; standard error kept
//     64 KiB.
//   - What workers print and Options.Stderr does not take: 1 MiB; what comes beyond is dropped,
//     with a note of how much.
//
// # Concurrency
//
// Everything exported is safe for concurrent use. An Executor owns its goroutines and processes:
// Stop ends and awaits them all, but for those that Options.Stderr or Options.Logger hold, which it
// gives a few seconds and then names.
package executor
