package main

import (
	"context"
	"errors"
	"log/slog"
	"reflect"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
)

// channelOf is the channel of a customer's orders. Each event is an order as it is now.
func channelOf(customer string) string { return "orders." + wsx.Token(customer) }

// openChannels lets a customer watch their own channel, and staff all of them by the pattern
// orders.*.
func (s *shop) openChannels() {
	s.hub.Configure("orders.*", &wsx.ChannelOptions{
		Doc:     "The orders of a customer, each after every change.",
		Payload: reflect.TypeFor[Order](),
		// a page that was away gets what it missed; after more than that it is told to read all
		// anew
		History:       100,
		AllowPatterns: true,
		Authorize: func(ctx context.Context, sub wsx.Subscription) error {
			if u := userFrom(ctx); u.role == "staff" || u.name != "" &&
				sub.Channel == channelOf(u.name) {
				return nil
			}
			// for the log: the client gets SUBSCRIPTION_DENIED
			return errors.New("somebody else's orders")
		},
	})
}

// publish tells the customer's channel of an order that has been changed. Two changes at once may
// be told of in the wrong order: whoever watches ignores a version that is lower than the one they
// have.
func (s *shop) publish(ctx context.Context, o Order) {
	// the order is changed, whoever still waits for it
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := s.hub.Publish(ctx, channelOf(o.Customer), o); err != nil {
		slog.ErrorContext(ctx, "a change was not told", "order", o.ID, "version", o.Version,
			"error", err)
	}
}

// methods are the same functions over the WebSocket, and by JSON-RPC.
func (s *shop) methods() *wsx.Dispatcher {
	d := wsx.NewDispatcher()
	d.Use(known)
	wsx.Handle(d, "orders.create", s.create)
	wsx.Handle(d, "orders.list", s.list)
	wsx.Handle(d, "orders.get", s.get)
	wsx.Handle(d, "orders.update", s.update)
	wsx.Handle(d, "orders.cancel", s.cancel)
	wsx.Handle(d, "orders.send", s.send)
	return d
}
