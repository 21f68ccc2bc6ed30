// Command wsxclient uses the package wsx/wsxclient alone: it calls one method of a WSX server and
// prints its result.
//
//	go run ./examples/standalone/wsxclient -url ws://127.0.0.1:8080/ws add '{"a":2,"b":40}'
//
// Params are JSON and may be left out. It exits with 1 when the call fails, and prints what the
// server notifies meanwhile.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run makes the call: the result goes to out, what the server notifies to notified.
func run(ctx context.Context, args []string, out, notified io.Writer) error {
	flags := flag.NewFlagSet("wsxclient", flag.ContinueOnError)
	url := flags.String("url", "ws://127.0.0.1:8080/ws", "the server's endpoint")
	timeout := flags.Duration("timeout", 10*time.Second,
		"for connecting and the call together; the server learns of it")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() < 1 || flags.NArg() > 2 {
		return errors.New("usage: wsxclient [-url URL] [-timeout DURATION] METHOD [PARAMS]")
	}
	var params any // nil is none
	if flags.NArg() == 2 {
		params = jsontext.Value(flags.Arg(1))
	}
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()

	c, err := wsxclient.Dial(ctx, *url, &wsxclient.Options{
		OnNotify: func(_ context.Context, event string, payload jsontext.Value) {
			fmt.Fprintln(notified, event, string(payload))
		},
	})
	if err != nil {
		return err
	}
	result, err := wsxclient.Call[jsontext.Value](ctx, c, flags.Arg(0), params)
	_ = c.Close() // waits for the notifications that came before
	if err != nil {
		return err
	}
	fmt.Fprintln(out, string(result))
	return nil
}
