// Package taskstest is for tests: [ExerciseStore] tests that a [tasks.Store] holds its contract.
package taskstest
