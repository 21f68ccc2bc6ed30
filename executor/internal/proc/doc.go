// Package proc is what the executor asks of the operating system about processes: to start this
// same program again with pipes of its own ([Program], [PassFiles], [WorkerPipes]), to end it with
// all that it has started ([Terminate], [Kill], [ReapOrphans]), and to bound and to see its memory
// ([Limit], [ResidentBytes]).
//
// Linux has all of it. Where a system lacks something, the function says so in its result and does
// nothing: package executor says what that means for its users.
package proc
