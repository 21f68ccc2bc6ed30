package main

import (
	"context"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx"
)

type numberOf struct {
	Number int `json:"number"`
}

type textOf struct {
	Text string `json:"text"`
}

// Validate says, in words for the caller, what a note must be.
func (in textOf) Validate() error {
	if in.Text == "" || len(in.Text) > 1000 {
		return problem.Field{Pointer: "/text", Detail: "must have 1 to 1000 bytes"}
	}
	return nil
}

// newLive is the app's methods over WebSockets.
func newLive(book *notebook) *wsx.Server {
	methods := wsx.NewDispatcher()
	wsx.Handle(methods, "notes.get", func(_ context.Context, in numberOf) (textOf, error) {
		text, ok := book.get(in.Number)
		if !ok {
			return textOf{}, wsx.NewError(wsx.CodeNotFound, "no such note")
		}
		return textOf{text}, nil
	})
	wsx.Handle(methods, "notes.add", func(_ context.Context, in textOf) (numberOf, error) {
		return numberOf{book.add(in.Text)}, nil
	})
	return wsx.NewServer(methods, nil)
}
