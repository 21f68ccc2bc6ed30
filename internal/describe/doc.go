// Package describe is how a handler of this module tells which operations it serves, for the
// OpenAPI document of a router that has nothing but an http.Handler in its hands.
//
// A handler that can tell looks first of all whether the http.ResponseWriter is a [Probe], fills it
// and returns:
//
//	if p, ok := w.(*describe.Probe); ok {
//		p.Add(describe.Endpoint{…})
//		return
//	}
//
// No other handler may ever see a Probe, as it would serve a request that nobody sent. [Of]
// therefore goes by names: those of the types and of the functions that make closures here, as the
// runtime knows them. What makes such closures is marked go:noinline, because a closure is named
// after the function that it ends up in.
//
// # Concurrency
//
// A Probe is one goroutine's. Of and Middleware may be called by many.
package describe
