package chiadapter_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/genropy/genro-asgi-go/asgi"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

// A wsx.Server that is not among the components of the App that serves it is drained all the same.
func TestApp_DrainsAMountedWSXServer(t *testing.T) {
	d := wsx.NewDispatcher()
	began, finish := make(chan struct{}), make(chan struct{})
	wsx.Handle(d, "slow", func(context.Context, struct{}) (string, error) {
		close(began)
		<-finish
		return "whole", nil
	})
	wsx.Handle(d, "quick",
		func(context.Context, struct{}) (struct{}, error) { return struct{}{}, nil })
	r := chi.NewRouter()
	r.Handle("/ws", wsx.NewServer(d, nil))
	app := asgi.New(r)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, shutdown := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- app.Serve(ctx, l) }()
	c, err := wsxclient.Dial(t.Context(), "ws://"+l.Addr().String()+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	answer := make(chan error, 1)
	go func() {
		got, err := wsxclient.Call[string](t.Context(), c, "slow", nil)
		if err == nil && got != "whole" {
			err = errors.New("got " + got)
		}
		answer <- err
	}()
	<-began
	shutdown()
	for { // until the drain has begun
		_, err := wsxclient.Call[struct{}](t.Context(), c, "quick", nil)
		if errors.Is(err, wsx.NewError(wsx.CodeUnavailable, "")) {
			break
		}
	}
	close(finish)
	if err := <-answer; err != nil {
		t.Errorf("the call in flight: %v", err)
	}
	<-c.Done()
	if closed, ok := errors.AsType[*wsxclient.ClosedError](c.Err()); !ok || closed.Code != 1001 {
		t.Errorf("closed with %v, want 1001", c.Err())
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
