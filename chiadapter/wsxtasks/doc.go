// Package wsxtasks serves tasks over WSX: methods to submit, read and cancel them, and a channel
// for each that carries its changes.
//
//	bridge := wsxtasks.New(jobs, hub, &wsxtasks.Options{
//		Kinds: []string{"report"}, Authorize: mayTouch,
//	})
//	bridge.Register(methods)
//	server := wsx.NewServer(methods, &wsx.ServerOptions{Hub: hub})
//	// In this order: what ends while jobs stops is still told.
//	app := asgi.New(router, hub, bridge, jobs, server)
//
// It is what tasks/taskshttp is over HTTP, and as closed: nothing is served unless Options name its
// kind in Kinds or have Authorize, and that one function is asked on every way to a task, for each
// change that a channel tells of too.
//
// # Methods
//
//	tasks.submit  {kind, payload?, id?, wait_ms?}
//	              a View; with the result, where the task was done in time
//	tasks.get     {id}
//	              a View
//	tasks.list    {states?, queue?, kind?, metadata?, limit?, cursor?}
//	              {tasks: [View], next?}, newest first, without the data of their progress
//	              and the problems of their errors
//	tasks.result  {id, wait_ms?}
//	              a View, with the result where there is one
//	tasks.cancel  {id}
//	              a View
//	tasks.retry   {id}
//	              a View
//
// Tasks are shown as [tasks.View]. An id makes tasks.submit safe to repeat: with the same kind and
// payload the task that is there is the answer, with others the call is a CONFLICT. tasks.result of
// a task that is not done answers the View without a result; of one that failed, died or was
// cancelled it is the error that its function returned, as far as a client may know it, or else one
// by its status, each with the further details {task, state, error?}.
//
// # Channel
//
// tasks.ID has a View after every change of the task, from any manager of the store, in order. A
// subscription begins with the next change: a client subscribes, then calls tasks.get, and ignores
// what has no higher revision. The task must exist. IDs with a dot at an end or two in a row are no
// channel names and have none; random IDs have no dots. A subscription to a pattern, such as
// tasks.>, has the changes of those tasks whose events its subscriber may see at that moment, as
// Authorize says of each; whether one may have a pattern at all it is asked with a nil Task.
//
// When the bridge is 1,024 changes behind the store, some are missed: then it ends every
// subscription with wsx.unsubscribed, RESOURCE_EXHAUSTED, and clients subscribe again.
//
// Hubs that share a broker have one bridge that is started; the others only register methods. With
// several, clients would get each change from each.
//
// # Errors
//
// They are those of the protocol that fit the status of the package tasks' conditions: NOT_FOUND,
// CONFLICT, INVALID_PARAMS with details.path and details.errors for a payload that does not fit,
// RESOURCE_EXHAUSTED for what is too large and for a full store, UNAVAILABLE. Of a task's error its
// problem.Error reaches clients, and no other text; of an internal one nothing.
//
// # Limits
//
// tasks.list: 100 a page, which is the default too. wait_ms: Options.MaxWait, 30 s; a wait ends
// when the server begins to stop. Else those of the manager, the server and the hub.
//
// # Concurrency
//
// Everything is safe for concurrent use. The Bridge owns a goroutine from Start to Stop.
package wsxtasks
