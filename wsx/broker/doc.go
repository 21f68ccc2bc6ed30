// Package broker says what carries events between hubs of channels, and has the broker of one
// process.
//
// A wsx.Hub stands on a [Broker] as database/sql stands on a driver: programs use the hub, and
// whoever has many processes writes a Broker once, over whatever connects them. A broker knows
// channels, events and hubs; it knows nothing of connections, subscribers, authorizers or limits.
// One that also keeps who is present implements [PresenceBroker]. wsxtest.ExerciseBroker is the
// contract as tests.
//
// # The broker's part
//
// The hub attaches itself as a [Receiver], says in which names and patterns it has an interest, and
// publishes. Every event of a channel comes to every hub with an interest in it once, in the order
// of its publishing where one node published; with a [History] it has a [Position] and can be asked
// for again. With it goes the [Trace] that it belongs to. What a broker returns as an error, a
// program that publishes gets as it is, and a client that subscribes as UNAVAILABLE.
//
// # Memory
//
// [Memory] is the broker of one process, which a hub has by itself. Hubs that share one are as one
// to their clients. It keeps what a channel's history asks for and who is present, in memory, and
// forgets it with the process.
package broker
