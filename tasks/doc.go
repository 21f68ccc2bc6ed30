// Package tasks runs jobs that outlive the request that asked for them: submitted from a handler, watched, cancelled, retried, scheduled,
// and their results fetched.
//
//	jobs := tasks.New(nil) // in memory; &tasks.Options{Store: store} for a durable one
//	report := tasks.Register(jobs, "report", 1, buildReport, nil) // func(ctx, ReportIn) (ReportOut, error)
//	if err := jobs.Start(ctx); err != nil { ... }
//	defer jobs.Stop(ctx)
//
//	t, err := report.Submit(ctx, ReportIn{Year: 2026}, nil)
//	out, err := report.Result(ctx, t.ID) // waits
//
// # Model
//
// A [Task] is one job: its kind names the function registered for it, its payload is the function's In as JSON. A [Manager] submits tasks to its
// [Store], claims those that are due, runs them and writes down what became of them. Any number of managers may share a store.
//
// Delivery is at least once: a task whose holder dies runs again. A function whose effects must not happen twice hands its [Run.Fence] to whatever
// keeps them: of the runs of a task each has a higher fence than those before it, and a write with a lower one than seen is stale.
//
// # States
//
//	scheduled   waits for its time              → running, cancelled
//	queued      waits for a free place          → running, cancelled
//	retrying    waits for its next attempt      → running, cancelled
//	running     held by one manager             → succeeded, failed, retrying, cancelled, dead, queued
//	succeeded   has a result                      (end)
//	failed      its function gave up on it      → queued, by Retry only
//	dead        it killed its workers           → queued, by Retry only
//	cancelled   somebody cancelled it           → queued, by Retry only
//
// Every transition is one [Store.Update]: a compare and swap on state, owner and fence. A holder that has lost its task, because its lease ran
// out or the task was cancelled, cannot write any more: what it writes is refused with [ErrStale] and its function's context ends.
//
// An attempt counts when it begins. A run that ends because its manager stops is put back as queued without using an attempt. A
// run whose holder vanishes (nothing was written to the task for the length of the lease, as another manager measures it from the last change that it saw, not by the time of day;
// one that has just started watches for a whole lease first) or whose worker process dies is a death: it goes back to queued, and after the third death the task is dead, with
// the crash report as its error. An error of the function retries by the task's [RetryPolicy] until its attempts are used up or the
// error is [Permanent]; then the task is failed.
//
// Cancel is terminal at once in every state: the task is cancelled when Cancel returns, whatever its function does; its context ends, and where it
// runs isolated its process is killed. Its place in the queue's concurrency is free when it has returned.
//
// # Running
//
// Functions run in goroutines of the manager, bounded by each queue's concurrency, or, registered with [RegisterIsolated], in the process pool
// of an executor: cancel and timeout kill the process, and a crash is a death and not the server's end. In the function [RunFrom] gives the
// [Run]: id, attempt, fence, progress, checkpoint.
//
// A payload of an older version than the registered one goes through KindOptions.Upgrade. A task of a kind, or of a newer version, that no manager
// knows stays queued.
//
// # Order
//
// Of the tasks of a queue that are due, higher priority goes first, then the earlier RunAt, then the earlier submitted. Keys at their limit, kinds that are not known here and paused
// queues are passed over.
//
// # Unique tasks and idempotency
//
// Submitting an ID that exists returns the existing task when kind and payload are the same, else [ErrConflict]. A unique key
// ([SubmitOptions.Unique]) is held by one task until it is started, until it is done, or for a time; another that wants it is refused with [ErrConflict], is
// answered with the holder, or replaces it.
//
// # Schedules
//
// [Manager.Schedule] submits a task by cron expression in a time zone, by interval, or once. The next occurrence of a schedule is a task of its own in the
// store, with an ID made of the schedule's name and the occurrence's time: several managers with one store make one task of it. Missed occurrences are skipped, run once or run all, as
// the schedule says. Daylight saving: an occurrence in the hour that is skipped runs at the first moment after the gap; one in the hour that comes twice runs the first time only. A cron
// expression for every hour (*, @hourly) runs in each hour that passes, and so twice in the one and not in the other.
//
// # HTTP
//
// [Handler] serves a manager's tasks over HTTP, below any path of any router: submit with an Idempotency-Key, list, watch by server-sent events, wait for the
// result, cancel, retry, and an OpenAPI document of it. Clients see a [View] of a task, never its payload or the text of an error. A stream has a heartbeat after 15 s of
// silence and gives a client 10 s to take an event.
//
// # Limits and defaults
//
//   - A payload and a result: 1 MiB each (Options.MaxPayload). Progress data and a checkpoint: 56 KiB, a progress message 1 KiB. Metadata: 32 entries, 4 KiB. An error's text: 4 KiB; the end of a dead
//     worker's standard error: 64 KiB.
//   - Tasks waiting in one queue: 1,000,000 (QueueOptions.MaxWaiting), then [ErrOverloaded]. Concurrency of a queue: 10. Timeout of an attempt: none unless
//     stated for the kind or the task.
//   - Lease 30 s, renewed every 10 s, given up by its holder 25 s at most after the last renewal; taken over within 1 s of its end, as seen by a manager that has watched for the whole of it. Progress is written at most every 100 ms, the last always. Three deaths.
//   - Retry: 1 attempt unless stated; backoff full jitter between 0 and 1 s doubled for each attempt, 1 h at most.
//   - Finished tasks are kept for 24 h (Options.Retention).
//   - List: 100 a page, 1,000 at most.
//
// # Errors
//
// Sentinels for conditions, found by errors.Is, each with a StatusCode for HTTP: [ErrNotFound], [ErrConflict], [ErrStale], [ErrOverloaded], [ErrTooLarge], [ErrInvalid],
// [ErrStoreFull], [ErrNotRunning]. What a task's function returned is a [TaskError].
//
// # Concurrency
//
// Everything exported is safe for concurrent use. A Manager owns its goroutines: Stop ends and awaits them all. It is a component of an asgi.App (Start, Stop).
package tasks
