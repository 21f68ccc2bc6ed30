package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/ethereum/go-ethereum/event"
	"github.com/ethereum/go-ethereum/rpc"
)

// gethHandler serves with go-ethereum's rpc package, a subscription being what it is in its own
// services: a goroutine between a feed and a notifier.
func gethHandler() (http.Handler, error) {
	s := rpc.NewServer()
	if err := s.RegisterName("bench", &gethService{}); err != nil {
		return nil, err
	}
	return s.WebsocketHandler(nil), nil
}

type gethService struct{ feed event.FeedOf[string] }

// Add is bench_add.
func (s *gethService) Add(in addParams) addResult { return addResult{Sum: in.A + in.B} }

// Publish is bench_publish.
func (s *gethService) Publish(payload string) { s.feed.Send(payload) }

// Feed is the subscription "feed".
func (s *gethService) Feed(ctx context.Context) (*rpc.Subscription, error) {
	notifier, ok := rpc.NotifierFromContext(ctx)
	if !ok {
		return nil, rpc.ErrNotificationsUnsupported
	}
	sub := notifier.CreateSubscription()
	events := make(chan string, 128)
	feed := s.feed.Subscribe(events)
	ended := sub.Err()
	go func() {
		defer feed.Unsubscribe()
		for {
			select {
			case e := <-events:
				if notifier.Notify(sub.ID, e) != nil {
					return
				}
			case err := <-ended: // nil: the client unsubscribed
				if err != nil {
					slog.Debug("geth: a feed ended", "error", err)
				}
				return
			}
		}
	}()
	return sub, nil
}
