package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

// canary is what must never reach a client.
const canary = "canary-7f3a"

type addIn struct {
	A int `json:"a"`
	B int `json:"b"`
}

type addOut struct {
	Sum int `json:"sum"`
}

type sleepIn struct {
	MS int64 `json:"ms"`
}

type sleepOut struct {
	Slept int64 `json:"slept"`
}

type failIn struct {
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Details jsontext.Value `json:"details"`
}

type subjectOut struct {
	Subject string `json:"subject"`
}

type eventIn struct {
	Event   string         `json:"event"`
	Payload jsontext.Value `json:"payload"`
}

// maxLog is how many log notifications are remembered: the newest.
const maxLog = 1000

// methods are those of section 8.
func methods() *wsx.Dispatcher {
	d := wsx.NewDispatcher()
	wsx.Handle(d, "echo", func(_ context.Context, in jsontext.Value) (jsontext.Value, error) { return in, nil })
	wsx.Handle(d, "add", func(_ context.Context, in addIn) (addOut, error) { return addOut{in.A + in.B}, nil })
	wsx.Handle(d, "sleep", func(ctx context.Context, in sleepIn) (sleepOut, error) {
		select {
		case <-ctx.Done():
			return sleepOut{}, ctx.Err()
		case <-time.After(time.Duration(in.MS) * time.Millisecond):
			return sleepOut{in.MS}, nil
		}
	})
	wsx.Handle(d, "fail", func(_ context.Context, in failIn) (struct{}, error) {
		e := wsx.NewError(in.Code, in.Message)
		if in.Details != nil {
			e.Details = in.Details
		}
		return struct{}{}, e
	})
	wsx.Handle(d, "boom", func(context.Context, struct{}) (struct{}, error) {
		return struct{}{}, errors.New("boom: " + canary)
	})
	wsx.Handle(d, "panic", func(context.Context, struct{}) (struct{}, error) { panic("panic: " + canary) })
	wsx.Handle(d, "whoami", func(context.Context, struct{}) (subjectOut, error) { return subjectOut{}, nil })
	wsx.Handle(d, "notify-me", func(ctx context.Context, in eventIn) (struct{}, error) {
		return struct{}{}, wsx.ConnFrom(ctx).Notify(ctx, in.Event, in.Payload)
	})

	var mu sync.Mutex
	logged := []jsontext.Value{}
	wsx.HandleNotify(d, "log", func(_ context.Context, in jsontext.Value) error {
		mu.Lock()
		defer mu.Unlock()
		if len(logged) == maxLog {
			logged = logged[1:]
		}
		logged = append(logged, in)
		return nil
	})
	wsx.Handle(d, "logged", func(context.Context, struct{}) ([]jsontext.Value, error) {
		mu.Lock()
		defer mu.Unlock()
		return append([]jsontext.Value{}, logged...), nil
	})
	return d
}
