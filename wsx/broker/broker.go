package broker

import (
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Event is one message published to a channel.
type Event struct {
	Channel string
	// Payload is JSON. It is shared by everyone who gets the event and must not be changed.
	Payload jsontext.Value
	// Position is the event's place in the channel's history; zero in a channel without.
	Position Position
	// Trace is the trace that the event belongs to; zero for none.
	Trace Trace
}

// Trace is the context of a trace as W3C Trace Context has it: the values of traceparent and
// tracestate. Whoever gets it goes on with it as it is; nothing here reads it. A State without a
// Parent says nothing.
type Trace struct {
	Parent string
	State  string
}

// Position is a place in the numbering of a channel's history: offsets 1, 2, 3 … under an epoch
// that changes when the numbering is lost.
type Position struct {
	Epoch  string `json:"epoch"`
	Offset uint64 `json:"offset"`
}

// History says how much of a channel a broker keeps. The zero value is nothing: the channel's
// events are not numbered.
type History struct {
	Size int           // the newest so many events
	Age  time.Duration // and of those none older; zero is no limit
}

// Member is somebody present in a channel.
type Member struct {
	Conn    string `json:"conn"`
	Subject string `json:"subject"`
	// Seq is the Presence.Seq of its joining, in what PresenceBroker.Members returns; else zero.
	Seq uint64 `json:"-"`
}

// Presence is a change of who is in a channel.
type Presence struct {
	Channel string
	Member  Member
	Left    bool // or joined
	// Seq numbers the changes of the channel, 1, 2, 3 … It may begin anew when nobody is present
	// and no hub has an interest in the channel.
	Seq uint64
}

// Broker carries events between hubs: those of one process, or of many. The hub makes the calls and
// hands what it gets to its subscribers; a broker knows nothing of connections. [NewMemory]
// is the one that a hub has by itself. A broker that also implements [PresenceBroker] serves
// channels with presence. wsxtest.ExerciseBroker is the contract as tests.
//
// Every method may be called by many goroutines at a time. A channel is a valid name; an interest
// may be a pattern.
type Broker interface {
	// Attach connects a hub; an attached one cannot be attached again. r.Event gets every event of
	// a channel that the hub has an interest in, once, whether one name or many patterns match it.
	// Of one channel the events that were published through one node one after the other come in
	// that order, those of a channel with history in the order of their offsets. Nothing is called
	// any more once detach has returned.
	Attach(r Receiver) (detach func() error, err error)

	// Publish sends an event to every hub with an interest in its channel, this one included, and
	// returns when the broker has it. With history it numbers and keeps the event and returns its
	// position; that of e is of no account. Everything else of e is delivered, and comes back from
	// Since, as it is.
	Publish(ctx context.Context, e Event, h History) (Position, error)

	// Interest says that an attached hub wants, or no longer wants, what matches a name or pattern.
	// When it has returned with on, every event published from then on, through any node, is
	// delivered. Calls for one name come one after another, on and off in turn. With off, ctx ends
	// after 10 s, and an error is logged.
	Interest(ctx context.Context, r Receiver, name string, on bool) error

	// Since returns the newest position of a channel with history and what was published after the
	// position since, oldest first. When some of that is not kept any more, the epoch is another or
	// since lies ahead, complete is false and there are no events. The zero since asks for no
	// events: complete is true. A channel without events has offset 0, under the epoch that its
	// first event will have.
	Since(ctx context.Context, channel string, since Position, h History) (r Replay, err error)
}

// Replay is what a broker knows of a channel's history.
type Replay struct {
	Newest   Position
	Events   []Event
	Complete bool
}

// PresenceBroker is a Broker that keeps who is in which channel. Joins and leaves reach
// Receiver.Presence of every hub with an interest in the channel, this one included, in the order
// of their Seq, by which a hub knows which of them Members has seen already. Members of a hub that
// is detached or gone leave by themselves. Calls for one member of a channel come one after
// another, Join and Leave in turn; their ctx ends after 10 s, and their errors are logged.
type PresenceBroker interface {
	Join(ctx context.Context, r Receiver, channel string, m Member) error
	Leave(ctx context.Context, r Receiver, channel string, m Member) error
	// Members returns who is in a channel at one moment between its call and its return, in no
	// particular order, each with the Seq of its joining.
	Members(ctx context.Context, channel string) ([]Member, error)
}

// Receiver is the hub, as a broker sees it. Its methods keep what they are given and return at
// once, unless 1,024 events of that channel wait for their fan-out: then they wait for room, so a
// broker holds no lock across them that other channels need. It is comparable.
type Receiver interface {
	Event(e Event)
	Presence(p Presence)
}
