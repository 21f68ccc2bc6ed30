package wsxclient

import (
	"context"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/lockorder"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

// subscription is one subscription on one link.
type subscription struct {
	room  int           // for so many events
	bytes int           // and for so many bytes of payloads, more only for an event alone
	wake  chan struct{} // has room for one: there is something new

	mu        lockorder.Mutex
	id        string
	newest    broker.Position // when it began
	recovered bool            // what was missed before follows
	missed    bool            // there is something to tell that was not recovered
	events    []arrival
	size      int   // of their payloads
	behind    bool  // an event found no room; none is taken any more
	err       error // how it ended
}

// subscribe begins s on this link, recovering from last when that is not zero. tell says that the
// subscriber has to know when nothing was recovered.
func (l *link) subscribe(ctx context.Context, s *subscription, channel string, params []byte,
	last broker.Position, tell bool,
) error {
	s.missed = tell
	_, err := l.request(ctx, s, func(id []byte) []byte {
		var from []byte
		if last != (broker.Position{}) {
			// a string and a number: it cannot fail, but for invalid UTF-8 of the caller's own
			from, _ = json.Marshal(last)
		}
		return l.client.appendSubscribe(id, channel, params, from)
	})
	return err
}

// subscribed takes in the server's answer to rpc.subscribe.
func (l *link) subscribed(s *subscription, result []byte) error {
	var in struct {
		Subscription    string `json:"subscription"`
		broker.Position `json:",embed"`
		Recovered       bool `json:"recovered"`
	}
	if err := json.Unmarshal(result, &in); err != nil {
		return fmt.Errorf("wsx: decode the answer to a subscription: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.recovered, s.missed = in.Subscription, in.Recovered, s.missed && !in.Recovered
	if !in.Recovered {
		s.newest = in.Position
	}
	if l.subs != nil {
		l.subs[s.id] = s
	}
	return nil
}

// unsubscribe forgets s and tells the server, without waiting.
func (l *link) unsubscribe(s *subscription) {
	l.mu.Lock()
	known := l.subs[s.id] == s
	delete(l.subs, s.id)
	l.mu.Unlock()
	if !known {
		return
	}
	l.Urge(l.client.appendUnsubscribe(l.calls.NextID(), s.id))
}

// event hands an event to its subscription, or only its place and why it could not be taken in. One
// that is not there any more has just been ended.
func (l *link) event(m *wire.Message, err error) {
	var meta struct {
		SubID           string `json:"sub_id"`
		broker.Position `json:",embed"`
		Dropped         uint64 `json:"dropped"`
	}
	if json.Unmarshal(m.Meta, &meta) != nil {
		return // not an event of this protocol
	}
	l.mu.Lock()
	s := l.subs[meta.SubID]
	l.mu.Unlock()
	if s != nil {
		s.push(
			arrival{
				Event[jsontext.Value]{
					Channel: string(m.Channel), Payload: m.Payload,
					Position: meta.Position, Dropped: meta.Dropped,
				}, err,
			})
	}
}

// arrival is an event, or the place of one that could not be taken in and why.
type arrival struct {
	Event[jsontext.Value]
	err error
}

// revoked is the server's word that it has ended a subscription.
func (l *link) revoked(payload []byte) {
	var in struct {
		Subscription string `json:"subscription"`
		Code         string `json:"code"`
	}
	if json.Unmarshal(payload, &in) != nil {
		return
	}
	l.mu.Lock()
	s := l.subs[in.Subscription]
	delete(l.subs, in.Subscription)
	l.mu.Unlock()
	if s != nil {
		s.finish(&wsx.Error{Code: in.Code, Message: "the server ended the subscription"})
	}
}

func (s *subscription) push(e arrival) {
	s.mu.Lock()
	if n := len(s.events); n >= s.room || n > 0 && s.size+len(e.Payload) > s.bytes {
		s.behind = true
	}
	if !s.behind {
		s.events = append(s.events, e)
		s.size += len(e.Payload)
	}
	s.mu.Unlock()
	s.signal()
}

func (s *subscription) finish(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.signal()
}

func (s *subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// consume yields what comes until the loop ends (more is false), the subscription does (err is not
// nil), or it has to begin again.
func (s *subscription) consume(ctx context.Context, last *broker.Position,
	yield func(*Event[jsontext.Value], error) (bool, error),
) (more bool, err error) {
	if s.newest.Epoch != "" {
		*last = s.newest
	}
	if s.missed {
		if more, err := yield(nil, ErrMissed); !more {
			return false, err
		}
	}
	for {
		s.mu.Lock()
		events, finished, behind := s.events, s.err, s.behind
		s.events, s.size = nil, 0
		s.mu.Unlock()
		for i := range events {
			event := &events[i].Event
			if events[i].err != nil {
				event = nil
			}
			more, err := yield(event, events[i].err)
			if !more {
				return false, err
			}
			if p := events[i].Position; p.Epoch != "" {
				*last = p
			}
		}
		switch {
		case len(events) > 0:
			continue
		case finished != nil:
			return true, finished
		case behind:
			return true, nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}
