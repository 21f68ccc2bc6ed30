// Package taskstest is for tests of programs that use package tasks, and of stores.
//
// # Tests of a program
//
// A manager that is never started runs its tasks when the test says so, in the test's goroutine;
// with a [Clock] the time passes when the test says so:
//
//	clock := taskstest.NewClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
//	jobs := taskstest.NewManager(t, nil, &tasks.Options{Clock: clock})
//	tasks.Register(jobs, "welcome", 1, sendWelcome, nil)
//
//	signUp(jobs, "ada@example.org") // the code under test submits
//
//	mail := taskstest.RequireSubmitted[Welcome](t, jobs, "welcome")
//	if mail.In.To != "ada@example.org" { ... }
//	clock.Advance(time.Hour) // it was to go out an hour later
//	taskstest.RunNow(t, jobs)
//	receipt := taskstest.RequireResult[Receipt](t, jobs, mail.ID)
//
// [RunNow] runs all that is due, one after the other, and what that submits. What is due later
// waits until the clock has been advanced: a retry is due at a random time up to its policy's
// limit. Everything else is the manager's own: leases, timeouts by its clock, progress,
// checkpoints, isolated kinds, schedules.
//
// The assertions end the test with Fatalf. They and RunNow are called from the test's goroutine.
//
// # Tests of a store
//
// [ExerciseStore] tests that a [tasks.Store] holds its contract.
package taskstest
