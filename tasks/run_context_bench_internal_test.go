package tasks

import (
	"context"
	"testing"
)

// BenchmarkRunContext is the context of a run whose function asks for nothing, and of one that asks
// for Done, beside the context of the standard library, made at once.
func BenchmarkRunContext(b *testing.B) {
	run := new(Run)
	b.Run("unasked", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c := &runContext{run: run}
			c.finish()
		}
	})
	b.Run("asked", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c := &runContext{run: run}
			_ = c.Done()
			c.finish()
		}
	})
	b.Run("plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			ctx, cancel := context.WithCancelCause(
				context.WithValue(context.Background(), runKey{}, run))
			_ = ctx
			cancel(nil)
		}
	})
}
