package wsconn_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/internal/wsconn"
)

func Example() {
	var conns sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refusal := wsconn.Check(w, r, nil); refusal != nil {
			http.Error(w, refusal.Detail, refusal.Status)
			return
		}
		conns.Add(1)
		c, err := wsconn.Upgrade(w, r, nil)
		if err != nil {
			conns.Done()
			return
		}
		go func() { // the handler's goroutine and its buffers are not needed any more
			for {
				typ, msg, err := c.Read(context.Background(), nil)
				if err != nil {
					conns.Done()
					return // the connection is closed
				}
				_ = c.Queue(context.Background(), typ, msg) // the next Read sends it
			}
		}()
	}))
	defer conns.Wait()
	defer srv.Close()

	c, _, err := wsconn.Dial(context.Background(), srv.URL, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = c.Close(websocket.StatusNormalClosure, "") }()
	_ = c.Send(context.Background(), websocket.MessageText, []byte("hello"))
	_, msg, err := c.Read(context.Background(), nil)
	fmt.Println(string(msg), err)
	// Output: hello <nil>
}
