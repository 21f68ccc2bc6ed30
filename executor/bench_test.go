package executor_test

import (
	"testing"

	"github.com/genropy/genro-asgi-go/executor"
)

func BenchmarkFunc_Run(b *testing.B) {
	ex := start(b, &executor.Options{Workers: 1})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := echo.Run(b.Context(), ex, sample); err != nil {
			b.Fatal(err)
		}
	}
}
