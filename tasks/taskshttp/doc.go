// Package taskshttp serves the tasks of a [tasks.Manager] over HTTP, below any path of any router:
// submit, list, watch, wait for the result, cancel, retry, and an OpenAPI document of it.
//
//	mux.Handle("/tasks/", http.StripPrefix("/tasks", taskshttp.Handler(jobs, &taskshttp.Options{
//		Kinds: []string{"report"},
//	})))
//
// [Handler] has the routes and what each answers. Clients see a [tasks.View] of a task, never its
// payload, and of its error what the function said by a problem.Error, no other text. Nothing is
// served unless [Options] name the kinds or say who may do what.
//
// An event stream has a heartbeat after 15 s of silence and gives a client 10 s to take an event.
// An Idempotency-Key has 256 bytes at most, a wait ends after 30 s unless stated, and a body is as
// large as the manager's payloads may be and nests 32 levels deep.
//
// The handler is safe for concurrent use. It has no goroutines of its own but those of the requests
// that it serves, and each wait hears the shutdown of the asgi.App that it is in.
package taskshttp
