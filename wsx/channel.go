package wsx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/broker"
	"github.com/genropy/genro-asgi-go/wsx/internal/pattern"
)

// The errors of a hub's functions that are given a channel or an event, wrapped. They are the
// program's own affair: a method that returns one is answered INTERNAL_ERROR, as the client that
// called it need not have named the channel. Where it has, the method may look for them with
// errors.Is.
var (
	// ErrChannelName is for what is no channel's name, or no pattern where one is asked for.
	ErrChannelName = errors.New("wsx: not a channel's name")
	// ErrNotConfigured is for a channel, or pattern, that does not lie wholly within one configured
	// pattern: nobody could subscribe to it.
	ErrNotConfigured = errors.New("wsx: the channel is not configured")
	// ErrEventTooLarge is for an event of more than HubOptions.MaxEvent.
	ErrEventTooLarge = errors.New("wsx: the event is too large")
)

// checkChannel is pattern.Fault as what a client is told of a name that it has sent.
func checkChannel(name string, wildcards bool) error {
	if fault := pattern.Fault(name, wildcards); fault != "" {
		return NewError(CodeInvalidRequest, fault)
	}
	return nil
}

// ownChannel is pattern.Fault as what the program is told of a name of its own.
func ownChannel(name string, wildcards bool) error {
	if fault := pattern.Fault(name, wildcards); fault != "" {
		return fmt.Errorf("%w: %q: %s", ErrChannelName, shortened(name), fault)
	}
	return nil
}

// shortened is a name for an error's text, which is not to be as long as what somebody may have
// sent.
func shortened(name string) string {
	if len(name) > pattern.MaxBytes {
		return name[:pattern.MaxBytes] + "…"
	}
	return name
}

// Token makes one token of a channel's name of any string: a user's name, a path, what a client has
// sent. Different strings have different tokens, and none is a wildcard or holds a dot, so a name
// that is joined of a program's own tokens and of those of Token is always a channel's name, and
// nobody's but that string's:
//
//	hub.Publish(ctx, "inbox."+wsx.Token(user), message)
//
// Letters, digits and _ @ - stay as they are, every other byte becomes a colon and two hexadecimal
// digits: ada@example:2Ecom. The empty string becomes a colon, and one whose token would be longer
// than 128 bytes two colons and its SHA-256, so that a token has 1 to 128 bytes.
func Token(s string) string { return pattern.Token(s) }

func mustChannel(what, name string, wildcards bool) {
	if err := checkChannel(name, wildcards); err != nil {
		panic(fmt.Sprintf("wsx: %s(%q): %v", what, name, err))
	}
}

// SlowPolicy says what becomes of a channel's events when a subscriber's out-queue is full
// (protocol section 4).
type SlowPolicy int

// The policies. Each event that is not delivered is counted, and the next that is says how many.
const (
	SlowDisconnect SlowPolicy = iota // close the connection with 4430
	SlowDropOldest                   // drop the oldest event that waits
	// while the queue is full, and until it is empty, only the newest event waits
	SlowLatest
)

// ChannelOptions configure the channels of a pattern. The zero value is a channel that everybody
// may subscribe to, without history or presence.
type ChannelOptions struct {
	// Doc and Payload are for [Dispatcher.Documents]: what the channels are for, and the type of
	// their events' payloads, anything when nil. Nothing checks what is published against it.
	Doc     string
	Payload reflect.Type
	// Authorize is asked before each subscription, and again when a connection's credentials
	// change. [IdentityFrom] tells of ctx who asks; s.Conn is nil for [Hub.SSE]. An error refuses,
	// and one of later ends the subscription with PERMISSION_DENIED: a *[Error] as it is, any other
	// as SUBSCRIPTION_DENIED. nil lets everybody in.
	//
	// A channel that belongs to a user is told by its name: compare s.Channel with what [Token]
	// makes of the user's.
	Authorize func(ctx context.Context, s Subscription) error
	// AllowPatterns asks Authorize about subscriptions by pattern too: s.Pattern says which those
	// are, and what it lets in gets the events of all channels that the pattern matches. By default
	// they are SUBSCRIPTION_DENIED where there is an Authorize, as one that was written for names
	// takes the pattern inbox.* for the inbox of a user who goes by the name *. Without Authorize
	// everybody may have both.
	AllowPatterns bool
	// Filter returns which events a subscription gets, from its params; a nil function is all. An
	// error refuses as with Authorize, but as INVALID_PARAMS. The function is called for each event
	// by one goroutine at a time, must be quick, and must not use the hub. What several
	// subscriptions share in theirs has to be safe for concurrent use.
	Filter func(s Subscription) (func(broker.Event) bool, error)
	// History is how many events are kept for recovery; 0 is none, and the channel's events are not
	// numbered then.
	History int
	// HistoryAge is how long they are kept; 1 hour when zero, no limit when negative.
	HistoryAge time.Duration
	// Presence keeps who is subscribed, tells the others who joins and leaves, and serves
	// wsx.presence to subscribers.
	Presence bool
	// Slow is what becomes of a subscriber that does not keep up.
	Slow SlowPolicy
	// OnSubscribe and OnUnsubscribe are told of subscriptions, before the first event and after the
	// last, in this order. They must return soon.
	OnSubscribe, OnUnsubscribe func(s Subscription)
}

// Subscription describes a subscription to the functions of [ChannelOptions].
type Subscription struct {
	// Channel is the name or pattern subscribed to.
	Channel string
	// Pattern says that Channel is a pattern: it has a * or a >, which no name has.
	Pattern bool
	// Params are the subscriber's, nil when there are none.
	Params jsontext.Value
	// Conn is the connection, nil for a subscriber without one.
	Conn *Conn
	// Subject is who subscribes, as [IdentityFrom] tells of the request; empty for nobody in
	// particular.
	Subject string

	ctx context.Context // of the request of a subscriber without a connection
}

// Context is the subscriber's, for filters and hooks: [IdentityFrom] tells of it who subscribes, as
// that is at the moment, and [ConnFrom] over which connection. It ends with the connection or the
// request.
func (s Subscription) Context() context.Context {
	switch {
	case s.Conn != nil:
		return s.Conn.Context()
	case s.ctx != nil:
		return s.ctx
	}
	return context.Background()
}

type configured struct {
	pattern string
	opts    *ChannelOptions
}

// compare orders the narrower pattern first.
func (c configured) compare(other configured) int {
	return cmp.Compare(pattern.Specificity(c.pattern), pattern.Specificity(other.pattern))
}

// history is what the options ask of a broker.
func (o *ChannelOptions) history() broker.History {
	h := broker.History{Size: max(0, o.History), Age: o.HistoryAge}
	switch {
	case h.Age == 0:
		h.Age = time.Hour
	case h.Age < 0:
		h.Age = 0
	}
	return h
}

// authorize asks the channel's authorizer: of names alone, unless it knows of patterns.
func (o *ChannelOptions) authorize(ctx context.Context, s Subscription) error {
	switch {
	case o.Authorize == nil:
		return nil
	case s.Pattern && !o.AllowPatterns:
		return NewError(CodeSubscriptionDenied, "the channel has to be named: no patterns")
	}
	return refusedAs(o.Authorize(ctx, s), CodeSubscriptionDenied)
}

// filterFor asks the channel for the filter of a subscription; nil lets all through.
func (o *ChannelOptions) filterFor(s Subscription) (func(broker.Event) bool, error) {
	if o.Filter == nil {
		return nil, nil
	}
	filter, err := o.Filter(s)
	return filter, refusedAs(err, CodeInvalidParams)
}
