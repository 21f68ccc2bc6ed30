// Command gethpeer talks to examples/conformance with go-ethereum's rpc.Client, which knows
// JSON-RPC 2.0 and nothing of WSX: calls, notifications, errors and batches, over the WebSocket and
// over HTTP.
//
//	go run ./cmd/gethpeer 127.0.0.1:9321
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/ethereum/go-ethereum/rpc"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gethpeer HOST:PORT")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ok: go-ethereum rpc.Client")
}

func run(addr string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, url := range []string{"ws://" + addr + "/ws", "http://" + addr + "/rpc"} {
		if err := talk(ctx, url); err != nil {
			return fmt.Errorf("%s: %w", url, err)
		}
	}
	return authenticated(ctx, "ws://"+addr+"/ws-auth")
}

type sum struct {
	Sum int `json:"sum"`
}

type addends struct {
	A int `json:"a"`
	B int `json:"b"`
}

func talk(ctx context.Context, url string) error {
	c, err := rpc.DialContext(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close()
	var n int
	if err := c.CallContext(ctx, &n, "subtract", 42, 23); err != nil || n != 19 {
		return fmt.Errorf("subtract by position: %d, %w", n, err)
	}
	var added sum
	if err := c.CallContext(ctx, &added, "add", 2, 40); err != nil || added.Sum != 42 {
		return fmt.Errorf("add by position: %v, %w", added, err)
	}
	var echoed []addends
	if err := c.CallContext(ctx, &echoed, "echo", addends{1, 2}); err != nil || len(echoed) != 1 ||
		echoed[0] != (addends{1, 2}) {
		return fmt.Errorf("echo: %v, %w", echoed, err)
	}
	if strings.HasPrefix(url, "ws:") {
		// over HTTP this client fails on the empty answer to a notification, also on its own
		// server's
		if err := c.Notify(ctx, "log", "from geth"); err != nil {
			return fmt.Errorf("notify: %w", err)
		}
	}
	if err := fails(c.CallContext(ctx, nil, "no.such"), -32601, "METHOD_NOT_FOUND"); err != nil {
		return err
	}
	if err := fails(c.CallContext(ctx, nil, "fail", "CONFLICT", "taken"), -32009,
		"CONFLICT"); err != nil {
		return err
	}
	return batch(ctx, c)
}

// fails looks for the number and, in the data, the code of an error.
func fails(err error, number int, code string) error {
	var e rpc.DataError
	var n rpc.Error
	if !errors.As(err, &e) || !errors.As(err, &n) || n.ErrorCode() != number {
		return fmt.Errorf("want an error with the number %d: %w", number, err)
	}
	if data, _ := e.ErrorData().(map[string]any); data["code"] != code {
		return fmt.Errorf("data %v, want the code %s", e.ErrorData(), code)
	}
	return nil
}

func batch(ctx context.Context, c *rpc.Client) error {
	elems := make([]rpc.BatchElem, 20) // as many as the server takes
	results := make([]int, len(elems))
	for i := range elems {
		elems[i] = rpc.BatchElem{Method: "subtract", Args: []any{i, 1}, Result: &results[i]}
	}
	elems[7].Method = "no.such"
	if err := c.BatchCallContext(ctx, elems); err != nil {
		return fmt.Errorf("batch: %w", err)
	}
	for i, e := range elems {
		if i == 7 {
			if err := fails(e.Error, -32601, "METHOD_NOT_FOUND"); err != nil {
				return fmt.Errorf("batch: %w", err)
			}
			continue
		}
		if e.Error != nil || results[i] != i-1 {
			return fmt.Errorf("batch element %d: %d, %w", i, results[i], e.Error)
		}
	}
	return nil
}

func authenticated(ctx context.Context, url string) error {
	c, err := rpc.DialOptions(ctx, url, rpc.WithHTTPAuth(func(h http.Header) error {
		h.Set("Authorization", "Bearer alice-token")
		return nil
	}))
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	defer c.Close()
	var who struct {
		Subject string `json:"subject"`
	}
	if err := c.CallContext(ctx, &who, "whoami"); err != nil || who.Subject != "alice" {
		return fmt.Errorf("whoami: %v, %w", who, err)
	}
	if other, err := rpc.DialContext(ctx, url); err == nil {
		other.Close()
		return errors.New("connected without a token")
	}
	return nil
}
