// Package asgitest tests handlers and apps in memory: HTTP, server-sent events and WebSockets over
// net.Pipe, with no port and no socket, inside a testing/synctest bubble too.
//
//	func TestOrder(t *testing.T) {
//		c := asgitest.New(t, newApp())
//		var order Order
//		c.Post("/orders", Order{Item: "tea"}).Want(201).JSON(&order)
//		c.Get("/orders/none").Want(404).Problem()
//	}
//
// # Contract
//
// New serves an *asgi.App by its own Serve, so the components are started, the shutdown sequence
// runs at the end, and an error of either fails the test; any other handler is made an App first.
// The client ends with the test, or at Close.
//
// Whatever host a URL names leads to the handler. Paths alone are of http://app.test. Redirects are
// not followed, cookies are kept, bodies are not decompressed.
//
// What cannot be done at all (no connection, a body that is no JSON) ends the test by FailNow, so
// helpers are for the test's own goroutine; Client.HTTP and Client.Dial return their errors and are
// for any goroutine.
//
// # Limits
//
// A body read by a helper is at most 64 MiB, a line of an event stream 1 MiB, else the test fails.
// net.Pipe has no buffer: a write waits for its reader, so a peer that does not read is felt at
// once.
package asgitest
