package executor_test
import ("testing";"github.com/genropy/genro-asgi-go/executor")
func TestFirst(t *testing.T) {
	ex := start(t, &executor.Options{Workers: 1})
	out, err := echo.Run(t.Context(), ex, sample)
	t.Log(out, err)
}
