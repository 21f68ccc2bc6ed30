package broker_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
)

// Hubs that share a broker are as one to whoever listens: here two of one process.
func ExampleMemory() {
	ctx := context.Background()
	shared := broker.NewMemory()
	here := wsx.NewHub(&wsx.HubOptions{Broker: shared})
	there := wsx.NewHub(&wsx.HubOptions{Broker: shared})
	for _, hub := range []*wsx.Hub{here, there} {
		hub.Configure("news", &wsx.ChannelOptions{History: 10})
	}
	first, err := here.Publish(ctx, "news", "one")
	if err != nil {
		fmt.Println(err)
	}
	if _, err := there.Publish(ctx, "news", "two"); err != nil {
		fmt.Println(err)
	}
	for event, err := range there.Listen(ctx, "news", first) {
		fmt.Println(event.Position.Offset, event.Payload, err)
		break
	}
	fmt.Println(errors.Join(here.Stop(ctx), there.Stop(ctx)))
	// Output:
	// 2 "two" <nil>
	// <nil>
}

// counting is a broker that counts what is published: one broker may stand on another.
type counting struct {
	*broker.Memory
	events map[string]int
}

func (c counting) Publish(ctx context.Context, e broker.Event, h broker.History) (broker.Position,
	error,
) {
	c.events[e.Channel]++
	return c.Memory.Publish(ctx, e, h)
}

func ExampleBroker() {
	ctx := context.Background()
	c := counting{broker.NewMemory(), make(map[string]int)}
	hub := wsx.NewHub(&wsx.HubOptions{Broker: c})
	hub.Configure("orders.>", nil)
	for _, channel := range []string{"orders.eu", "orders.us", "orders.eu"} {
		if _, err := hub.Publish(ctx, channel, 1); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(c.events["orders.eu"], c.events["orders.us"], hub.Stop(ctx))
	// Output:
	// 2 1 <nil>
}
