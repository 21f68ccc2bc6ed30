// Package tasks runs jobs that outlive the request that asked for them: submitted from a handler,
// watched, cancelled, retried, scheduled, and their results fetched.
//
//	jobs := tasks.New(memstore.New(), nil) // or filestore.Open's, for tasks that last
//	// buildReport is a func(context.Context, ReportIn) (ReportOut, error).
//	report := tasks.Register(jobs, "report", 1, buildReport, nil)
//	if err := jobs.Start(ctx); err != nil { ... }
//	defer jobs.Stop(ctx)
//
//	t, err := report.Submit(ctx, ReportIn{Year: 2026}, nil)
//	out, err := report.Result(ctx, t.ID) // waits
//
// # Model
//
// A [Task] is one job: its kind names the function registered for it, its payload is the function's
// In as JSON. A [Manager] submits tasks to its [Store], claims those that are due, runs them and
// writes down what became of them. Any number of managers may share a store.
//
// Delivery is at least once: a task whose holder dies runs again. A function whose effects must not
// happen twice hands its [Run.Fence] to whatever keeps them: of the runs of a task each has a
// higher fence than those before it, and a write with a lower one than seen is stale.
//
// # States
//
//	scheduled   waits for its time              → running, cancelled
//	queued      waits for a free place          → running, cancelled
//	retrying    waits for its next attempt      → running, cancelled
//	running     held by one manager             → succeeded, failed, retrying, cancelled,
//	                                              dead, queued
//	succeeded   has a result                      (end)
//	failed      its function gave up on it      → queued, by Retry only
//	dead        it killed its workers           → queued, by Retry only
//	cancelled   somebody cancelled it           → queued, by Retry only
//
// Every transition is one [Store.Update]: a compare and swap on state, owner and fence. A holder
// that has lost its task, because its lease ran out or the task was cancelled, cannot write any
// more: what it writes is refused with [ErrStale] and its function's context ends.
//
// An attempt counts when it begins. A run that ends because its manager stops is put back as queued
// without using an attempt. A run whose holder vanishes (nothing was written to the task for the
// length of the lease, as another manager measures it from the last change that it saw, not by the
// time of day; one that has just started watches for a whole lease first) or whose worker process
// dies is a death: it goes back to queued, and after the third death the task is dead (see Deaths),
// with the crash report as its error. An error of the function retries by the task's [RetryPolicy]
// until its attempts are used up or the error is [Permanent]; then the task is failed.
//
// Cancel is terminal at once in every state: the task is cancelled when Cancel returns, whatever
// its function does; its context ends, and where it runs isolated its process is killed. Its place
// in the queue's concurrency is free when it has returned.
//
// # Deaths
//
// A process that dies takes all of its runs along, and only one of them may have killed it. A task
// that has died is a suspect:
//
//   - Of the suspects a manager runs one at a time; what never died runs beside it, and what does
//     not yet run waits in its queue. A further death is the suspect's.
//   - Before the death that would be its last, a suspect whose holder vanished runs alone: nothing
//     is begun, for 30 s at most, until the others have ended (if they do not, a death does not
//     count as its last), and nothing beside it until it has run as long as when it died, or for a
//     minute.
//   - A suspect is acquitted, its deaths are 0 again, when its holder had vanished and it has saved
//     a checkpoint that is another than before, or has run for a heartbeat longer than when it
//     died, or than the window below; and whatever it died of, when its run ends without a death.
//   - Deaths more than an hour apart do not add up (Options.DeathWindow). After three
//     (Options.MaxDeaths) a task is dead, and after ten times as many whatever it saved.
//
// All of this is of one manager: two of them in one process are two.
//
// # Running
//
// Functions run in goroutines of the manager, bounded by each queue's concurrency, or, registered
// with [RegisterIsolated], in the process pool of an executor: cancel and timeout kill the process,
// and a crash is a death and not the server's end. In the function [RunFrom] gives the [Run]: id,
// attempt, fence, metadata, progress, checkpoint.
//
// A [Middleware] is around each run (Options.Middleware, KindOptions.Middleware), and
// Options.SubmitMiddleware around each submit: what that puts into the metadata of a task, the
// middleware of its runs finds there, in whichever process and after whatever restart.
//
// A function may wait for another task ([Manager.Wait], [Manager.Result], [Manager.Follow], with
// its context) that is in another queue. It holds its place meanwhile, so waiting for one of its
// own queue that is not done is refused with [ErrConflict], whether or not there is a place now:
// with all places held by functions that wait nothing would ever go on. Queues whose tasks wait for
// each other in a circle can hang as well, which nothing notices. When the manager stops, a run
// that waits is interrupted at once.
//
// A payload of an older version than the registered one goes through KindOptions.Upgrade. A task of
// a kind, or of a newer version, that no manager knows stays queued.
//
// # Order
//
// Of the tasks of a queue that are due, higher priority goes first, then the earlier RunAt, then
// the earlier submitted. A queued task is always due. Keys at their limit, kinds that are not known
// here, paused queues and, while one of them runs, tasks that have died are passed over.
//
// # What becomes of an error
//
// Every error ends in exactly one of five ways, and none is tried again without an end:
//
//	refused   its caller gets it at once, and nothing has changed
//	failed    the task is failed, whatever attempts it has left
//	attempt   the attempt counts; the next one comes by the RetryPolicy, and after the last
//	          the task is failed
//	death     the death counts; the task is queued again, and after the third it is dead
//	          (see Deaths)
//	waits     nothing counts: the task is queued as it was, and what it needs is tried again
//	          with growing pauses, of 15 s at most, for all tasks at once; one line in the log
//	          says so, another when it is over
//
// Refused, to the caller:
//
//	a type of In or Out that JSON cannot hold,
//	or a bad name of a kind, queue or owner           Register and New panic
//	a payload that is no JSON, does not fit
//	or cannot be encoded                              an *InputError
//	a key or metadata that are not UTF-8,
//	and every other option that cannot be             ErrInvalid or ErrTooLarge
//	Add, Update, List and all else that a caller
//	asks of the store                                 the store's error
//	progress and checkpoints that cannot be encoded
//	or are too large                                  the function gets it
//
// Failed, for good:
//
//	a payload that does not fit when it is to run,
//	or Upgrade's error                                ErrorInput
//	a payload or checkpoint that the executor
//	does not take                                     ErrorInput
//	a result that cannot be JSON, panics when it is
//	encoded, is too large or that the store refuses:
//	the function has had its effects                  ErrorResult
//	an error made by Permanent                        ErrorReturned
//
// An attempt that counts:
//
//	any other error that the function returned,
//	or the executor made                              ErrorReturned
//	a panic, runtime.Goexit, an error whose own
//	methods panic                                     ErrorPanic
//	the timeout                                       ErrorTimeout
//
// A death:
//
//	the worker process died                           ErrorCrash
//	the holder vanished, or the store took nothing
//	of how the run ended                              ErrorLost
//
// Waits, and nothing counts:
//
//	the worker process was killed for another call
//	that shared it                                    queued again at once
//	no worker process is to be had: not started,
//	stopped, or it does not start                     isolated kinds are not claimed
//	Stop, or a lease that could not be renewed
//	in time                                           the next manager, or the store
//	a claim, a heartbeat, the end of a run, a
//	takeover, the sweep or a schedule that the store
//	does not take                                     asked again
//
// A store that takes a run's heartbeats for a whole lease and all the while refuses its end has
// refused it for good (but for [ErrStoreFull]): a result that is not taken is a failure, and a
// failure that is not taken is written without its text.
//
// # Unique tasks and idempotency
//
// Submitting an ID that exists returns the existing task when kind and payload are the same, else
// [ErrConflict]. Payloads are the same when their values are, however they are written: numbers are
// compared digit by digit, not as doubles, so 64-bit identifiers are told apart. A unique key
// ([SubmitOptions.Unique]) is held by one task until it is started, until it is done, or for a
// time; another that wants it is refused with [ErrConflict], is answered with the holder, or
// replaces it.
//
// [Kind.SubmitMany] and [Manager.SubmitMany] add many tasks at once, all or none, with one write of
// the store. IDs and unique keys hold for each of them.
//
// # Schedules
//
// [Manager.Schedule] submits a task by cron expression in a time zone, by interval, or once. The
// next occurrence of a schedule is a task of its own in the store, with an ID made of the
// schedule's name and the occurrence's time: several managers with one store make one task of it.
// Missed occurrences are skipped, run once or run all, as the schedule says; however long nobody
// was there, it costs no more than the tasks that come of it. Daylight saving: an occurrence in the
// hour that is skipped runs at the first moment after the gap; one in the hour that comes twice
// runs the first time only. A cron expression for every hour (*, @hourly) runs in each hour that
// passes, and so twice in the one and not in the other.
//
// A schedule does not pile up ([Schedule.Overlap]): an occurrence is left out, and the log says so,
// while an earlier one waits for a place, or, with OverlapSkip, while one is not done. With
// MissedAll every one runs.
//
// # The clock
//
// Leases, timeouts and heartbeats are times that pass, whatever the time of day. The time of day
// decides when schedules and what has a RunAt are due, and what is old enough to be deleted. It may
// be set at any moment; a manager notices within 15 s (setting it back by more than 1 s or ahead by
// more than 1 min), says so in the log, and then:
//
//   - Queued tasks run as places are free, in the order in which they came.
//   - A delayed task and one that retries wait for no longer than their delay from then on. A RunAt
//     is a time of day, and waited for.
//   - Schedules go on from the new time. Set back, an occurrence that has run already runs again
//     only where the clock was set back by an interval of its schedule or more, so that no longer
//     time than two intervals passes without one. Set ahead, what lies between was missed.
//   - Set ahead, nothing is deleted before its retention has passed; set back, what ended in a time
//     that is to come has ended now.
//
// A manager that starts looks for tasks that were put off by a clock that has been set back since.
//
// # Clients
//
// Package taskshttp serves a manager's tasks over HTTP, and package chiadapter/wsxtasks over a
// WebSocket. Clients see a [View] of a task, never its payload, and of its error what the function
// said by a problem.Error, no other text. A [Call] is what one of them asks for, for who decides
// whether it may.
//
// # Limits and defaults
//
//   - A payload and a result: 1 MiB each (Options.MaxPayload). Progress data and a checkpoint: 56
//     KiB, a progress message 1 KiB. Metadata: 32 entries, 4 KiB. An error's text: 4 KiB; its
//     problem: 16 KiB as JSON, and of a larger one the status, the code and the detail; the end of
//     a dead worker's standard error: 64 KiB.
//   - Tasks waiting in one queue: 1,000,000 (QueueOptions.MaxWaiting), then [ErrOverloaded].
//     Concurrency of a queue: 10. Timeout of an attempt: none unless stated for the kind or the
//     task.
//   - Lease 30 s, renewed every 10 s, given up by its holder 25 s at most after the last renewal;
//     taken over within 1 s of its end, as seen by a manager that has watched for the whole of it.
//     Progress is written at most every 100 ms, the last always. Three deaths within an hour.
//   - Retry: 1 attempt unless stated; backoff full jitter between 0 and 1 s doubled for each
//     attempt, 1 h at most.
//   - Finished tasks are kept for 24 h (Options.Retention).
//   - List: 100 a page, 1,000 at most. SubmitMany: 10,000 tasks ([MaxBatch]), and with
//     tasks/filestore what fits into a segment, 16 MiB unless stated.
//
// # Errors
//
// Sentinels for conditions, found by errors.Is, each with a StatusCode for HTTP: [ErrNotFound],
// [ErrConflict], [ErrStale], [ErrOverloaded], [ErrTooLarge], [ErrInvalid], [ErrStoreFull],
// [ErrNotRunning]. What a task's function returned is a [TaskError], which unwraps to the
// problem.Error that the function said, if it did: a handler that returns the error of
// [Kind.Result] tells its own caller that problem, and of any other error the status.
//
// # Concurrency
//
// Everything exported is safe for concurrent use. A Manager owns its goroutines: Stop ends and
// awaits them all. It is a component of an asgi.App (Start, Stop).
package tasks
