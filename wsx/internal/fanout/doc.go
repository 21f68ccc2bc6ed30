// Package fanout brings a channel's events to its subscribers. The hub hands it what its broker
// delivers; who subscribes, and what becomes of an event that a subscriber has no room for, is the
// affair of others.
//
// # Terms
//
//	queue     one channel's events and changes of presence that wait, oldest first. There is one
//	          while there are some, with one goroutine, which makes one cycle after another.
//	group     subscribers that get the same bytes, as they have the same subscription id.
//	frame     an event as one group gets it, encoded when the first of its subscribers needs it.
//	visit     one subscriber is given the frames of all events under way, which is one write.
//	lap       one visit of each subscriber. An event is under way for just one lap, which begins
//	          with whichever visit is the next when the event joins.
//	cycle     laps through the subscribers that there are at its start, always in the same order,
//	          for as long as events are under way. Events that come meanwhile join, unless the
//	          subscribers have changed: these wait for the next cycle.
//	stretch   the visits that one worker makes in a row.
//
// # Contract
//
// [Queues.Event] and [Queues.Presence] keep what they are given and return at once, unless 1,024
// events and changes of that channel wait: then they wait for room. A subscriber gets the events of
// a channel in the order in which they were given to the queue, each once; all subscribers get them
// in one order. An event goes to those who subscribe when it joins a cycle, which is when it comes
// or, if subscribers have changed, when all events before it have been to everybody. A change of
// presence is told behind the events that came before it.
//
// After a cycle of crowds, four events a visit and more, an event that comes alone waits for its
// like: at most a quarter of a lap and 10 ms. Under light load none waits.
//
// A visit must not wait: there is one goroutine a channel. A lone event on its way to 256
// subscribers and more has up to four workers, which its queue's goroutine starts and waits for.
//
// # Why events join
//
// Publishers that wait, each, until their event has been everywhere are spread over the lap. An
// event that had to wait for the end of the one before it would make a cycle of its own: a write
// for each subscriber. One that joins rides along with the others' visits, so that sixteen
// publishers cost one write a subscriber together. BenchmarkQueues shows what joining and workers
// gain.
package fanout
