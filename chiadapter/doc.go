// Package chiadapter joins chi routers with handlers that are not chi's, and fills what chi leaves
// open.
//
//   - [Mount] serves a handler, an asgi.App or another router below a route, with the prefix taken
//     off the path; [Prefix] tells it.
//   - [OpenAPI] is the OpenAPI 3.1 document of all routes, those of sub-routers and of what was
//     mounted by [Mount] among them.
//   - [Problems] has a router and its sub-routers answer 404 and 405 as RFC 9457 problems, 405 with
//     Allow.
//   - [Route] is a label for logs and metrics with no more values than there are routes.
//   - [Check] finds CORS middlewares that chi never sends preflights.
//   - [URLFor] makes the path of a route from its pattern and parameters.
//
// In an app:
//
//	r := chi.NewRouter()
//	r.Use(middleware.CORS(cors))
//	chiadapter.Problems(r)
//	chiadapter.Mount(r, "/files", http.FileServerFS(files))
//	if err := chiadapter.Check(r); err != nil {
//		log.Fatal(err)
//	}
//
// # Concurrency
//
// Mount, Problems, Check and OpenAPI are for setup, from one goroutine, as chi's own methods are.
// Prefix, Route and URLFor are safe at any time, and so is the document that OpenAPI returns, which
// looks through the routes when it is first used. chi uses its routing context for another request
// as soon as the outermost router returns: nothing here keeps it, and Route must be asked before.
//
// # Errors
//
// Check joins a [*CORSError] for each place, URLFor returns a [*URLError], and Mount panics where
// chi's Mount does, because all that is wrong then is the program.
//
// # Limits
//
// Check knows CORS middlewares by their function and does not see one wrapped into another function
// or inside of a handler that is no chi router. Methods added by chi.RegisterMethod do not appear
// in Allow and are [OtherMethod] to Route.
package chiadapter
