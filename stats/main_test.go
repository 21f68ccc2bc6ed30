package stats_test

import (
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }
