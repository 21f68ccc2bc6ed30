package main

import (
	"encoding/json"
	"net/http"

	"github.com/centrifugal/centrifuge"
)

// centrifugeHandler is a node as its tutorial makes one, with the memory engine, and the write
// buffers pooled as its documentation advises for many connections. Handlers use encoding/json, as
// its examples do.
func centrifugeHandler() (http.Handler, error) {
	node, err := centrifuge.New(centrifuge.Config{LogLevel: centrifuge.LogLevelNone})
	if err != nil {
		return nil, err
	}
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(_ centrifuge.SubscribeEvent, cb centrifuge.SubscribeCallback) {
			cb(centrifuge.SubscribeReply{}, nil)
		})
		client.OnRPC(func(e centrifuge.RPCEvent, cb centrifuge.RPCCallback) {
			if e.Method == "publish" {
				_, err := node.Publish(channel, e.Data)
				cb(centrifuge.RPCReply{Data: []byte("{}")}, err)
				return
			}
			var in addParams
			if json.Unmarshal(e.Data, &in) != nil {
				cb(centrifuge.RPCReply{}, centrifuge.ErrorBadRequest)
				return
			}
			data, err := json.Marshal(addResult{Sum: in.A + in.B})
			cb(centrifuge.RPCReply{Data: data}, err)
		})
	})
	if err := node.Run(); err != nil {
		return nil, err
	}
	ws := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{UseWriteBufferPool: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws.ServeHTTP(w,
			r.WithContext(centrifuge.SetCredentials(r.Context(), &centrifuge.Credentials{})))
	}), nil
}
