package main

import (
	"context"
	"errors"
	"iter"
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

type countIn struct {
	N int `json:"n"`
}

type countOut struct {
	Count int `json:"count"`
}

type callbackIn struct {
	Method string         `json:"method"`
	Params jsontext.Value `json:"params"`
}

type subjectOut struct {
	Subject string `json:"subject"`
}

type eventIn struct {
	Event   string         `json:"event"`
	Payload jsontext.Value `json:"payload"`
}

type publishIn struct {
	Channel string         `json:"channel"`
	Payload jsontext.Value `json:"payload"`
}

type publishOut struct {
	Offset uint64 `json:"offset,omitzero"`
}

// channels are those of section 8.
func channels() *wsx.Hub {
	hub := wsx.NewHub(nil)
	hub.Configure("plain.>", nil)
	hub.Configure("room.>", &wsx.ChannelOptions{History: 100, Presence: true})
	hub.Configure("private.>", &wsx.ChannelOptions{Authorize: adminOnly, AllowPatterns: true})
	hub.Configure("latest.>", &wsx.ChannelOptions{Slow: wsx.SlowLatest})
	hub.Configure("lossy.>", &wsx.ChannelOptions{Slow: wsx.SlowDropOldest})
	return hub
}

// maxLog is how many log notifications are remembered: the newest.
const maxLog = 1000

// methods are those of section 8.
func methods(hub *wsx.Hub) *wsx.Dispatcher {
	d := wsx.NewDispatcher()
	handleAnswers(d)
	handleFailures(d)
	handleConn(d)
	wsx.Handle(d, "publish", func(ctx context.Context, in publishIn) (publishOut, error) {
		p, err := hub.Publish(ctx, in.Channel, in.Payload)
		if errors.Is(err, wsx.ErrChannelName) { // here the client has named it
			err = &wsx.Error{Code: wsx.CodeInvalidRequest, Message: "no channel's name", Err: err}
		}
		return publishOut{p.Offset}, err
	})
	handleLog(d)
	specification(d)
	return d
}

// handleAnswers registers what answers with what it was asked for.
func handleAnswers(d *wsx.Dispatcher) {
	wsx.Handle(d, "echo",
		func(_ context.Context, in jsontext.Value) (jsontext.Value, error) { return in, nil })
	wsx.Handle(d, "add",
		func(_ context.Context, in addIn) (addOut, error) { return addOut{in.A + in.B}, nil })
	wsx.Handle(d, "sleep", func(ctx context.Context, in sleepIn) (sleepOut, error) {
		select {
		case <-ctx.Done():
			return sleepOut{}, ctx.Err()
		case <-time.After(time.Duration(in.MS) * time.Millisecond):
			return sleepOut{in.MS}, nil
		}
	})
	wsx.HandleStream(d, "count",
		func(_ context.Context, in countIn, out *countOut) iter.Seq2[int, error] {
			return func(yield func(int, error) bool) {
				for ; out.Count < in.N; out.Count++ {
					if !yield(out.Count, nil) {
						return
					}
				}
			}
		})
}

// handleFailures registers what fails, in each way that there is.
func handleFailures(d *wsx.Dispatcher) {
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
	wsx.Handle(d, "panic",
		func(context.Context, struct{}) (struct{}, error) { panic("panic: " + canary) })
}

// handleConn registers what looks at, or speaks over, the connection of its caller.
func handleConn(d *wsx.Dispatcher) {
	wsx.Handle(d, "whoami", func(ctx context.Context, _ struct{}) (subjectOut, error) {
		return subjectOut{wsx.IdentityFrom(ctx).Subject}, nil
	})
	wsx.Handle(d, "callback", func(ctx context.Context, in callbackIn) (jsontext.Value, error) {
		return wsx.Call[jsontext.Value](ctx, wsx.ConnFrom(ctx), in.Method, in.Params)
	})
	wsx.Handle(d, "notify-me", func(ctx context.Context, in eventIn) (struct{}, error) {
		return struct{}{}, wsx.ConnFrom(ctx).Notify(ctx, in.Event, in.Payload)
	})
}

// handleLog registers the notification log, and logged, which returns what came by it.
func handleLog(d *wsx.Dispatcher) {
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
}
