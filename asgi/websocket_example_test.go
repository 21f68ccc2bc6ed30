package asgi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/asgi"
)

// talk opens a WebSocket, sends texts and prints what comes until the connection ends.
func talk(url string, texts ...string) {
	ctx := context.Background()
	conn, resp, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		fmt.Println(resp.Status, resp.Header.Get("Content-Type"))
		return
	}
	for _, text := range texts {
		if err := conn.Write(ctx, websocket.MessageText, []byte(text)); err != nil {
			fmt.Println(err)
		}
	}
	for {
		_, data, err := conn.Read(ctx)
		var end websocket.CloseError
		if errors.As(err, &end) {
			fmt.Println(int(end.Code), end.Reason)
			return
		}
		fmt.Println(string(data))
	}
}

func ExampleHandleWebSocket() {
	adder := func(ctx context.Context, ws *asgi.WebSocket) error {
		if ws.Request().Query().Get("token") == "" {
			// before Accept: a plain HTTP answer
			return asgi.NewHTTPError(http.StatusUnauthorized, "A token is needed.")
		}
		if err := ws.Accept(); err != nil {
			return err
		}
		for range 2 {
			var in struct{ A, B int }
			if err := ws.ReceiveJSON(ctx, &in); err != nil {
				return err
			}
			if err := ws.SendJSON(ctx, map[string]int{"sum": in.A + in.B}); err != nil {
				return err
			}
		}
		return &asgi.WebSocketError{Code: 4000, Reason: "two are enough"}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /add", asgi.HandleWebSocket(adder, nil))
	srv := httptest.NewServer(mux)
	defer srv.Close()

	talk(srv.URL + "/add")
	talk(srv.URL+"/add?token=t", `{"A":1,"B":2}`, `{"A":40,"B":2}`)
	talk(srv.URL+"/add?token=t", `{"A":1,"C":2}`)
	// Output:
	// 401 Unauthorized application/problem+json
	// {"sum":3}
	// {"sum":42}
	// 4000 two are enough
	// 1007 /C is not known here
}

func ExampleWebSocket_Messages() {
	shout := func(ctx context.Context, ws *asgi.WebSocket) error {
		if err := ws.Accept(); err != nil {
			return err
		}
		for message, err := range ws.Messages(ctx) {
			if err != nil {
				return err // the peer was cut off, broke a rule, or the server is stopping
			}
			if string(message.Data) == "enough" {
				break
			}
			if err := ws.SendText(ctx, string(message.Data)+"!"); err != nil {
				return err
			}
		}
		return nil
	}
	srv := httptest.NewServer(asgi.HandleWebSocket(shout, nil))
	defer srv.Close()

	talk(srv.URL, "hello", "world", "enough")
	// Output:
	// hello!
	// world!
	// 1000
}

func ExampleJSONMessages() {
	type move struct{ X, Y int }
	game := func(ctx context.Context, ws *asgi.WebSocket) error {
		if err := ws.Accept(); err != nil {
			return err
		}
		for m, err := range asgi.JSONMessages[move](ctx, ws) {
			if wrong, ok := errors.AsType[*asgi.WebSocketError](err); ok {
				if err := ws.SendText(ctx, "try again: "+wrong.Reason); err != nil {
					return err
				}
				continue // had the connection ended with it, so would the loop
			}
			if err != nil {
				return err
			}
			if m.X == m.Y {
				return ws.Close(1000, "you won")
			}
		}
		return nil
	}
	srv := httptest.NewServer(asgi.HandleWebSocket(game, nil))
	defer srv.Close()

	talk(srv.URL, `{"X":1,"Y":2}`, `{"X":"1"}`, `{"X":3,"Y":3}`)
	// Output:
	// try again: /X must be an integer
	// 1000 you won
}
