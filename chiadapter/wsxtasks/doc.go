// Package wsxtasks serves tasks over WSX: methods to submit, read and cancel them, and a channel for each that carries its changes.
//
//	bridge := wsxtasks.New(jobs, hub, &wsxtasks.Options{Authorize: mayTouch})
//	bridge.Register(methods)
//	server := wsx.NewServer(methods, &wsx.ServerOptions{Hub: hub})
//	app := asgi.New(router, hub, bridge, jobs, server) // in this order: what ends while jobs stops is still told
//
// It is what [tasks.Handler] is over HTTP.
//
// # Methods
//
//	tasks.submit  {kind, payload?, id?, wait_ms?}                        a View; with the result, where the task was done in time
//	tasks.get     {id}                                                   a View
//	tasks.list    {states?, queue?, kind?, metadata?, limit?, cursor?}   {tasks: [View], next?}, newest first, without the data of their progress
//	tasks.result  {id, wait_ms?}                                         a View, with the result where there is one
//	tasks.cancel  {id}                                                   a View
//	tasks.retry   {id}                                                   a View
//
// Tasks are shown as [tasks.View]. An id makes tasks.submit safe to repeat: with the same kind and payload the task that is there is the
// answer, with others the call is a CONFLICT. tasks.result of a task that is not done answers the View without a result; of one that failed, died or was
// cancelled it is an error with details {task, state, error?}.
//
// # Channel
//
// tasks.ID has a View after every change of the task, from any manager of the store, in order. A subscription begins with the next change: a client subscribes, then calls tasks.get, and
// ignores what has no higher revision. The task must exist. IDs with a dot at an end or two in a row are no channel names and have none; random IDs have no dots. Patterns, such as tasks.>,
// are for who may see all tasks (Task is nil in Authorize).
//
// When the bridge is 1,024 changes behind the store, some are missed: then it ends every subscription with wsx.unsubscribed, RESOURCE_EXHAUSTED, and clients subscribe again.
//
// Hubs that share a broker have one bridge that is started; the others only register methods. With several, clients would get each change from each.
//
// # Errors
//
// They are those of the protocol that fit the status of the package tasks' conditions: NOT_FOUND, CONFLICT, INVALID_PARAMS with details.path for a payload that does not fit, RESOURCE_EXHAUSTED for what is too
// large and for a full store, UNAVAILABLE. No text of a task's error or of an internal one reaches clients.
//
// # Limits
//
// tasks.list: 100 a page, which is the default too. wait_ms: Options.MaxWait, 30 s. Else those of the manager, the server and the hub.
//
// # Concurrency
//
// Everything is safe for concurrent use. The Bridge owns a goroutine from Start to Stop.
package wsxtasks
