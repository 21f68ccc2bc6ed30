// Command wsxbench measures wsx beside its peers and beside the floor: what the same bytes cost
// with nothing around them.
//
//	go run ./cmd/wsxbench drive [flags]    all of the table
//	go run ./cmd/wsxbench drive -only slow,recovery
//
// Every contestant serves in a process of its own, a fresh one for each measurement ("wsxbench
// serve NAME", which drive starts and ends). The clients are in the driver's process and the same
// for all contestants: a WebSocket client that sends frames prepared in advance, reads into one
// buffer, and answers all that a read brought with one write. Each answer is compared with the one
// expected, and each delivery must be the one after the last; what differs ends the run.
//
// A round measures each contestant once, beginning with another one each time; the table has
// medians of the rounds, and of the ratios to the floor of the same round. CPU is what the server's
// process used, user and system, by getrusage; allocations are the growth of
// runtime.MemStats.Mallocs there.
//
// # Work
//
//   - add-16x1, add-16x32, add-256x32: a typed add, {a,b} to {sum}; connections and calls
//     outstanding on each. Floor: coder/websocket echoes the same bytes, without JSON.
//   - fanout-1, fanout-16: 200 bytes to 1,000 subscribers, published by a client's call; so many
//     publishes are under way. One is done when all its deliveries are there. Floor: a loop that
//     writes a frame made by hand to one net.Conn after the other.
//   - idle: resident memory of a subscribed connection of 10,000, after a collection, less that of
//     none. Floor: a hijacked connection with a goroutine that reads into 64 bytes.
//   - slow: p99 delivery latency of 4,900 subscribers, alone and beside 100 that never read, in
//     pairs of runs.
//   - recovery: 1,000,000 events read by clients that drop the connection every 1,000 or so and
//     recover.
//
// The last two are ours alone and run only by name.
package main
