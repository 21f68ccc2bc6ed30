package chiadapter_test

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/asgi/asgitest"
	"github.com/genropy/genro-asgi-go/chiadapter"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
	"github.com/genropy/genro-asgi-go/tasks/taskshttp"
	"github.com/genropy/genro-asgi-go/wsx"
)

// Whatever lasts and stands behind the middleware of an authenticator ends with the credentials,
// whichever package serves it.
func TestAuthenticator_WhatLastsEndsWithTheCredentials(t *testing.T) {
	wait := func(ctx context.Context, _ struct{}) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	for _, path := range []string{
		"/hub", "/sse", "/stream", "/tasks/events", "/tasks/job/events",
		"/socket",
	} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				auth := wsx.Authenticator(func(*http.Request, string) (wsx.Identity, error) {
					return wsx.Identity{Subject: "ada", Expires: time.Now().Add(time.Minute)}, nil
				})
				hub := wsx.NewHub(nil)
				hub.Configure("news", nil)
				jobs := tasks.New(memstore.New(), nil)
				tasks.Register(jobs, "wait", 1, wait, nil)

				r := chi.NewRouter()
				r.Use(auth.Middleware)
				r.Handle("/hub",
					hub.SSE(func(*http.Request) (string, error) { return "news", nil }))
				r.Get("/sse", asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
					return asgi.SSE(func(ctx context.Context,
						_ string,
					) iter.Seq2[asgi.Event, error] {
						return func(func(asgi.Event, error) bool) { <-ctx.Done() }
					}, nil), nil
				}))
				r.Get("/stream", asgi.Respond(func(*asgi.Request) (asgi.Response, error) {
					return asgi.StreamFunc("text/plain",
						func(ctx context.Context, w io.Writer) error {
							_, _ = io.WriteString(w, "begun")
							<-ctx.Done()
							return context.Cause(ctx)
						}), nil
				}))
				r.Get("/socket",
					asgi.HandleWebSocket(func(ctx context.Context, ws *asgi.WebSocket) error {
						if err := ws.Accept(); err != nil {
							return err
						}
						_, err := ws.Receive(ctx)
						return err
					}, nil))
				chiadapter.Mount(r, "/tasks",
					taskshttp.Handler(jobs,
						&taskshttp.Options{Authorize: func(tasks.Call) error { return nil }}))
				app := asgi.New(r, jobs, hub)
				app.Logger = slog.New(slog.DiscardHandler)
				client := asgitest.New(t, app)
				if _, err := jobs.Submit(t.Context(), "wait", nil,
					&tasks.SubmitOptions{ID: "job"}); err != nil {
					t.Fatal(err)
				}

				began := time.Now()
				if path == "/socket" {
					c, _, err := client.Dial(t.Context(), path, nil)
					if err != nil {
						t.Fatal(err)
					}
					if _, _, err = c.Read(t.Context()); websocket.CloseStatus(err) != 4401 {
						t.Errorf("closed with %v", err)
					}
				} else {
					resp, err := client.HTTP.Get(asgitest.BaseURL + path)
					if err != nil {
						t.Fatal(err)
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if resp.StatusCode != http.StatusOK {
						t.Error(resp.Status)
					}
				}
				if took := time.Since(began); took != time.Minute {
					t.Errorf("ended after %v", took)
				}
			})
		})
	}
}
