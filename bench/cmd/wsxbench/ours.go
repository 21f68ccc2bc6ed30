package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx"
)

// recoverable is the channel of the scenario "recovery".
const recoverable = "bench.history"

type publishParams struct {
	Channel string         `json:"channel"`
	Payload jsontext.Value `json:"payload"`
}

func oursHandler() (http.Handler, error) {
	log := slog.New(slog.DiscardHandler)
	hub := wsx.NewHub(&wsx.HubOptions{Logger: log})
	hub.Configure(channel, nil)
	hub.Configure(recoverable, &wsx.ChannelOptions{History: 10_000})
	d := wsx.NewDispatcher()
	wsx.Handle(d, "add",
		func(_ context.Context, in addParams) (addResult, error) {
			return addResult{Sum: in.A + in.B}, nil
		})
	wsx.Handle(d, "publish", func(ctx context.Context, in publishParams) (struct{}, error) {
		_, err := hub.Publish(ctx, in.Channel, in.Payload)
		return struct{}{}, err
	})
	return wsx.NewServer(d, &wsx.ServerOptions{Hub: hub, Logger: log}), nil
}
