// Command spawn prints, for rounds of both in turn, how long an empty Go program takes from its
// start to its end, and an executor from its start to its worker's first answer.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"time"

	"github.com/genropy/genro-asgi-go/executor"
)

const rounds = 100

var ping = executor.NewFunc("ping", func(_ context.Context, n int) (int, error) { return n, nil })

func main() {
	executor.Main()
	ctx := context.Background()
	for range rounds {
		begun := time.Now()
		if err := exec.CommandContext(ctx, os.Args[1]).Run(); err != nil {
			log.Fatal(err)
		}
		empty := time.Since(begun)

		ex := executor.New(&executor.Options{Workers: 1, Spares: -1})
		begun = time.Now()
		if err := ex.Start(ctx); err != nil {
			log.Fatal(err)
		}
		if _, err := ping.Run(ctx, ex, 1); err != nil {
			log.Fatal(err)
		}
		first := time.Since(begun)
		if err := ex.Stop(ctx); err != nil {
			log.Fatal(err)
		}
		fmt.Println(empty.Nanoseconds(), first.Nanoseconds())
	}
}
