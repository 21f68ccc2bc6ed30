package main

import (
	"fmt"
	"net/http"
)

// contestant is a server and how clients speak with it.
type contestant struct {
	name    string
	handler func() (http.Handler, error)

	calls, feed, publishing string // paths of connections for calls, subscribers and the publisher

	hello     string // sent first, when there is any, and answered
	call      func(id int) string
	answer    func(id int) string
	subscribe string // sent to subscribe, when there is anything to send, and answered
	publish   func(id int, payload string) string
}

// A call adds its id to addend, so that no two answers are the same.
const addend = 1000

// channel is what all subscribers subscribe to.
const channel = "bench.feed"

func contestants() []*contestant {
	return []*contestant{floor(), ours(), centrifugeServer(), geth()}
}

func byName(name string) *contestant {
	for _, c := range contestants() {
		if c.name == name {
			return c
		}
	}
	return nil
}

type addParams struct {
	A int `json:"a"`
	B int `json:"b"`
}

type addResult struct {
	Sum int `json:"sum"`
}

func floor() *contestant {
	echoed := func(id int) string {
		return fmt.Sprintf(`{"type":"rpc.request","id":%d,"method":"add","params":{"a":%d,"b":%d}}`,
			id, id, addend)
	}
	return &contestant{
		name: "floor", handler: floorHandler,
		calls: "/echo", feed: "/feed", publishing: "/publish",
		call: echoed, answer: echoed,
		publish: func(_ int, payload string) string { return payload },
	}
}

func ours() *contestant {
	return &contestant{
		name: "ours", handler: oursHandler,
		calls: "/", feed: "/", publishing: "/",
		call: func(id int) string {
			return fmt.Sprintf(
				`{"type":"rpc.request","id":%d,"method":"add","params":{"a":%d,"b":%d}}`, id, id,
				addend)
		},
		answer: func(id int) string {
			return fmt.Sprintf(`{"type":"rpc.response","id":%d,"result":{"sum":%d}}`, id, id+addend)
		},
		subscribe: `{"type":"rpc.subscribe","id":1,"channel":"` + channel + `"}`,
		publish: func(id int, payload string) string {
			return fmt.Sprintf(
				`{"type":"rpc.request","id":%d,"method":"publish","params":{"channel":"`+channel+
					`","payload":%s}}`, id, payload)
		},
	}
}

func centrifugeServer() *contestant {
	return &contestant{
		name: "centrifuge", handler: centrifugeHandler,
		calls: "/", feed: "/", publishing: "/",
		hello: `{"id":1,"connect":{}}`,
		call: func(id int) string {
			return fmt.Sprintf(`{"id":%d,"rpc":{"method":"add","data":{"a":%d,"b":%d}}}`, id, id,
				addend)
		},
		answer: func(id int) string {
			return fmt.Sprintf(`{"id":%d,"rpc":{"data":{"sum":%d}}}`, id, id+addend)
		},
		subscribe: `{"id":2,"subscribe":{"channel":"` + channel + `"}}`,
		publish: func(id int, payload string) string {
			return fmt.Sprintf(`{"id":%d,"rpc":{"method":"publish","data":%s}}`, id, payload)
		},
	}
}

func geth() *contestant {
	return &contestant{
		name: "geth", handler: gethHandler,
		calls: "/", feed: "/", publishing: "/",
		call: func(id int) string {
			return fmt.Sprintf(
				`{"jsonrpc":"2.0","id":%d,"method":"bench_add","params":[{"a":%d,"b":%d}]}`, id, id,
				addend)
		},
		answer: func(id int) string {
			return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result":{"sum":%d}}`, id, id+addend)
		},
		subscribe: `{"jsonrpc":"2.0","id":1,"method":"bench_subscribe","params":["feed"]}`,
		publish: func(id int, payload string) string {
			return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"bench_publish","params":[%s]}`,
				id, payload)
		},
	}
}
