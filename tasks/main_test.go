package tasks_test

import (
	"testing"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) {
	executor.Main()
	leakcheck.Main(m)
}
