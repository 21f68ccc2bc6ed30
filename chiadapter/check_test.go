package chiadapter_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/rs/cors"

	"github.com/genropy/genro-asgi-go/chiadapter"
	"github.com/genropy/genro-asgi-go/middleware"
)

const page = "https://app.example"

func ours() func(http.Handler) http.Handler {
	return middleware.CORS(&middleware.CORSOptions{AllowedOrigins: []string{page}})
}

func ExampleCheck() {
	r := chi.NewRouter()
	cors := middleware.CORS(
		&middleware.CORSOptions{AllowedOrigins: []string{"https://app.example"}})
	r.With(cors).Get("/orders", func(http.ResponseWriter, *http.Request) {})
	fmt.Println(strings.ReplaceAll(chiadapter.Check(r).Error(), " ", "\n"))
	// Output:
	// chiadapter:
	// CORS
	// at
	// GET
	// /orders:
	// chi
	// answers
	// the
	// OPTIONS
	// of
	// a
	// preflight
	// with
	// 405
	// before
	// With
	// and
	// Group,
	// so
	// browsers
	// refuse
	// every
	// request
	// that
	// needs
	// one;
	// put
	// CORS
	// in
	// Use
	// of
	// the
	// router,
	// or
	// of
	// one
	// that
	// is
	// mounted
	// (Route,
	// Mount)
}

// preflight asks as a browser does before a GET of target.
func preflight(h http.Handler, target string) bool {
	w := do(h, "OPTIONS", target, "Origin", page, "Access-Control-Request-Method", "GET")
	return w.Code == 204 && w.Header().Get("Access-Control-Allow-Origin") == page
}

func TestCheck_AgreesWithRealPreflights(t *testing.T) {
	mw := ours()
	for name, c := range map[string]struct {
		build  func(r chi.Router)
		target string
		want   []string // the places refused; none if good
	}{
		"Use of the root": {func(r chi.Router) { r.Use(mw); r.Get("/x", ok) }, "/x", nil},
		"Use of a sub-router": {func(r chi.Router) {
			r.Route("/api", func(r chi.Router) { r.Use(mw); r.Get("/x", ok) })
		}, "/api/x", nil},
		"Use of a deeper router": {func(r chi.Router) {
			r.Route("/api", func(r chi.Router) {
				r.Get("/y", ok)
				r.Route("/v1",
					func(r chi.Router) { r.Use(chimiddleware.NoCache, mw); r.Get("/x", ok) })
			})
		}, "/api/v1/x", nil},
		"With around a mount": {func(r chi.Router) {
			s := chi.NewRouter()
			s.Get("/x", ok)
			r.With(mw).Mount("/api", s)
		}, "/api/x", nil},
		"Group around Route": {func(r chi.Router) {
			r.Group(func(r chi.Router) {
				r.Use(mw)
				r.Route("/api", func(r chi.Router) { r.Get("/x", ok) })
			})
		}, "/api/x", nil},
		"With around a plain mount": {func(r chi.Router) {
			chiadapter.Mount(r.With(mw), "/api", http.HandlerFunc(ok))
		}, "/api/x", nil},
		"With around all methods": {func(r chi.Router) {
			r.With(mw).Handle("/x", http.HandlerFunc(ok))
		}, "/x", nil},
		"With around OPTIONS too": {func(r chi.Router) {
			g := r.With(mw)
			g.Get("/x", ok)
			g.Options("/x", ok)
		}, "/x", nil},
		"none at all, but no error": {func(r chi.Router) {
			r.Use(chimiddleware.NoCache)
			r.With(chimiddleware.CleanPath).Get("/x", ok)
		}, "", nil},
		"With": {
			func(r chi.Router) { r.With(mw).Get("/x", ok) }, "/x",
			[]string{"GET /x"},
		},
		"With around two methods": {func(r chi.Router) {
			g := r.With(mw)
			g.Put("/x", ok)
			g.Get("/x", ok)
		}, "/x", []string{"GET,PUT /x"}},
		"With around With": {func(r chi.Router) {
			r.With(chimiddleware.NoCache).With(mw).Get("/x", ok)
		}, "/x", []string{"GET /x"}},
		"Group": {func(r chi.Router) {
			r.Group(func(r chi.Router) { r.Use(mw); r.Get("/x", ok); r.Get("/a/{b}", ok) })
		}, "/x", []string{"GET /a/{b}", "GET /x"}},
		"Group in a sub-router": {func(r chi.Router) {
			r.Route("/api",
				func(r chi.Router) { r.Group(func(r chi.Router) { r.Use(mw); r.Get("/x", ok) }) })
		}, "/api/x", []string{"GET /api/x"}},
		"OPTIONS goes past it": {func(r chi.Router) {
			r.With(mw).Get("/x", ok)
			r.Options("/x", ok)
		}, "/x", []string{"GET /x"}},
		"a chain as the handler": {func(r chi.Router) {
			r.Method("GET", "/x", chi.Chain(mw).HandlerFunc(ok))
		}, "/x", []string{"GET /x"}},
		"rs/cors itself": {func(r chi.Router) {
			r.With(cors.New(cors.Options{AllowedOrigins: []string{page}}).Handler).Get("/x", ok)
		}, "/x", []string{"GET /x"}},
		"a second one is never asked": {
			func(r chi.Router) { r.Use(closed(), mw); r.Get("/x", ok) },
			"/x",
			[]string{"/"},
		},
		"inside of another, sub-router": {func(r chi.Router) {
			r.Use(closed())
			r.Route("/api", func(r chi.Router) { r.Use(mw); r.Get("/x", ok) })
		}, "/api/x", []string{"/api/*"}},
		"inside of another, With": {func(r chi.Router) {
			r.Use(closed())
			r.With(mw).Handle("/x", http.HandlerFunc(ok))
		}, "/x", []string{"CONNECT,DELETE,GET,HEAD,LINK,OPTIONS,PATCH,POST,PUT,QUERY,TRACE /x"}},
		"inside of another, around mount": {func(r chi.Router) {
			r.Use(closed())
			r.With(mw).Route("/api", func(r chi.Router) { r.Get("/x", ok) })
		}, "/api/x", []string{"/api/*"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := chi.NewRouter()
			c.build(r)
			if c.target != "" && preflight(r, c.target) != (len(c.want) == 0) {
				t.Fatalf("chi answers a preflight otherwise than this test believes: %v",
					preflight(r, c.target))
			}
			err := chiadapter.Check(r)
			var got []string
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				for _, e := range joined.Unwrap() {
					place, _, _ := strings.Cut(strings.TrimPrefix(e.Error(),
						"chiadapter: CORS at "), ": ")
					got = append(got, place)
				}
			}
			if !slices.Equal(got, c.want) || (err == nil) != (len(c.want) == 0) {
				t.Errorf("refused %q, want %q", got, c.want)
			}
			if bad, found := errors.AsType[*chiadapter.CORSError](err); found &&
				(bad.Reason == "" || bad.Pattern == "") {
				t.Errorf("got %+v", bad)
			}
		})
	}
}

// closed is a CORS that allows nobody.
func closed() func(http.Handler) http.Handler { return middleware.CORS(&middleware.CORSOptions{}) }
