package main

import (
	"context"
	"io"
	"net/rpc"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/genropy/genro-asgi-go/executor"
)

const rawRole = "BENCH_EXECUTOR_RAW"

// Order is the struct that travels; as JSON it has 100 bytes.
type Order struct {
	ID       int    `json:"id"`
	Customer string `json:"customer"`
	Email    string `json:"email"`
	Total    int    `json:"total"`
	Note     string `json:"note"`
}

const size = 100

var sample = Order{
	ID: 123456, Customer: "Ada Lovelace", Email: "ada@example.org", Total: 4200,
	Note: "by train",
}

var echo = executor.NewFunc("echo",
	func(_ context.Context, in Order) (Order, error) { return in, nil })

// rawEcho writes back what it reads, with nothing between it and the kernel.
func rawEcho() {
	buf := make([]byte, 64<<10)
	for {
		n, err := syscall.Read(3, buf)
		if n <= 0 || err != nil {
			os.Exit(0)
		}
		if _, err := syscall.Write(4, buf[:n]); err != nil {
			os.Exit(0)
		}
	}
}

// startRaw starts an echo process and returns the ends of its pipes, in blocking mode, which
// measures quicker here than by the poller.
func startRaw() (in, out *os.File, stop func()) {
	theirIn, in, err := os.Pipe()
	check(err)
	out, theirOut, err := os.Pipe()
	check(err)
	cmd := exec.CommandContext(context.Background(), "/proc/self/exe")
	cmd.Env = []string{rawRole + "=1", "GOMAXPROCS=1"}
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	check(cmd.Start())
	check(theirIn.Close())
	check(theirOut.Close())
	check(syscall.SetNonblock(int(in.Fd()), false))
	check(syscall.SetNonblock(int(out.Fd()), false))
	return in, out, func() {
		check(in.Close())
		check(cmd.Wait())
		check(out.Close())
	}
}

func parallel(n, callers int, call func()) {
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range n / callers {
				call()
			}
		})
	}
	wg.Wait()
}

// caller has an Executor echo the sample.
func caller(ctx context.Context, opts *executor.Options) (call func(), stop func()) {
	ex := executor.New(opts)
	check(ex.Start(ctx))
	return func() {
		got, err := echo.Run(ctx, ex, sample)
		check(err)
		if got != sample {
			panic("wrong answer")
		}
	}, func() { check(ex.Stop(context.Background())) }
}

// calling is n calls by some callers.
func calling(name string, n, callers int, call func()) contender {
	return contender{name, n, func(n int) float64 {
		return counting(n, func() { parallel(n, callers, call) })
	}}
}

// processGroups are calls of an echo in one worker process: one after another, and by 32 callers.
func processGroups(withPlugin bool) (one, many group, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	in, out, stopRaw := startRaw()
	byDefault, stopDefault := caller(ctx, nil)
	single, stopSingle := caller(ctx, &executor.Options{Workers: 1, Spares: -1})
	shared, stopShared := caller(ctx,
		&executor.Options{Workers: 1, Spares: -1, CallsPerWorker: 32})
	one = group{"process call, 100 bytes of JSON, 1 outstanding", []contender{
		{"raw pipe round trip", 30_000, func(n int) float64 {
			roundTrips(in, out, n)
			return -1
		}},
		calling("executor, default options", 20_000, 1, byDefault),
		calling("executor, one worker", 20_000, 1, single),
	}}
	many = group{"the same, 32 callers", []contender{
		{"raw pipe, window of 32, a write a frame", 200_000, func(n int) float64 {
			window(in, out, n)
			return -1
		}},
		calling("executor, default options", 64_000, 32, byDefault),
		calling("executor, one worker", 64_000, 32, single),
		calling("executor, one worker, CallsPerWorker 32", 64_000, 32, shared),
	}}
	stopPlugin := func() {}
	if withPlugin {
		var plugin *rpc.Client
		plugin, stopPlugin = startPlugin()
		call := func() {
			var got Order
			check(plugin.Call("Plugin.Echo", sample, &got))
		}
		one.contenders = append(one.contenders, calling("go-plugin, net/rpc", 5_000, 1, call))
		many.contenders = append(many.contenders, calling("go-plugin, net/rpc", 16_000, 32, call))
	}
	return one, many, func() {
		cancel()
		for _, stop := range []func(){stopDefault, stopSingle, stopShared, stopPlugin, stopRaw} {
			stop()
		}
	}
}

// roundTrips sends n frames, each when the one before is back.
func roundTrips(in, out *os.File, n int) {
	frame := make([]byte, size)
	for range n {
		_, err := in.Write(frame)
		check(err)
		_, err = io.ReadFull(out, frame)
		check(err)
	}
}

// window sends n frames of which at most 32 are under way.
func window(in, out *os.File, n int) {
	places := make(chan struct{}, 32)
	go func() {
		frame := make([]byte, size)
		for range n {
			places <- struct{}{}
			_, err := in.Write(frame)
			check(err)
		}
	}()
	buf := make([]byte, 64<<10)
	for got := 0; got < n*size; {
		k, err := out.Read(buf)
		check(err)
		for range (got+k)/size - got/size {
			<-places
		}
		got += k
	}
}
