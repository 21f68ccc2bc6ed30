package wsx_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/wsx"
)

func ExampleJSONRPC() {
	type subtract struct {
		Minuend    int `json:"minuend"`
		Subtrahend int `json:"subtrahend"`
	}
	d := wsx.NewDispatcher()
	wsx.Handle(d, "subtract",
		func(_ context.Context, in subtract) (int, error) {
			return in.Minuend - in.Subtrahend, nil
		})
	srv := httptest.NewServer(wsx.JSONRPC(d, nil))
	defer srv.Close()

	for _, body := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"subtract","params":[42,23]}`,
		`[{"jsonrpc":"2.0","id":2,"method":"subtract","params":{"minuend":1}},{"jsonrpc":"2.0",` +
			`"method":"subtract"}]`,
		`{"jsonrpc":"2.0","method":"subtract","params":[1,2]}`,
		`{"jsonrpc":"2.0","id":3,"method":"subtract","params":["a"]}`,
	} {
		resp, err := http.Post(srv.URL, "application/json", strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		answer, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		// An error's message and data, which say what is wrong and where, are left out here.
		short, _, _ := strings.Cut(string(answer), `,"message":`)
		fmt.Println(strings.TrimSpace(resp.Status[:3] + " " + short))
	}
	// Output:
	// 200 {"jsonrpc":"2.0","id":1,"result":19}
	// 200 [{"jsonrpc":"2.0","id":2,"result":1}]
	// 204
	// 200 {"jsonrpc":"2.0","id":3,"error":{"code":-32602
}

// Any http.Handler answers over the socket: here a mux, most often the router that the server
// itself stands in.
func ExampleServerOptions_tunnel() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s, %s", r.PathValue("name"), r.URL.Query().Get("mood"))
	})
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for n := range 2 {
			fmt.Fprintf(w, `{"n":%d}`, n)
			w.(http.Flusher).Flush()
		}
	})
	server := wsx.NewServer(wsx.NewDispatcher(), &wsx.ServerOptions{HTTP: mux})
	srv := httptest.NewServer(server)
	defer srv.Close()

	ctx := context.Background()
	c, _, err := websocket.Dial(ctx, srv.URL, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, message := range []string{
		`WSX://{"id":1,"method":"GET","path":"/hello/Ada","query":{"mood":"fine"}}`,
		`WSX://{"id":2,"method":"GET","path":"/count"}`,
	} {
		if err := c.Write(ctx, websocket.MessageText, []byte(message)); err != nil {
			fmt.Println(err)
			return
		}
		for more := true; more; {
			_, answer, err := c.Read(ctx)
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Println(strings.Replace(string(answer), `,"headers"`, ",\n  \"headers\"", 1))
			more = strings.Contains(string(answer), `"stream":true`)
		}
	}
	_ = c.CloseNow()
	fmt.Println(server.Stop(ctx))
	// Output:
	// WSX://{"id":1,"status":200,
	//   "headers":{"content-type":"text/plain; charset=utf-8"},"data":"hello Ada, fine"}
	// WSX://{"id":2,"status":200,
	//   "headers":{"content-type":"application/json"},"data":{"n":0},"stream":true}
	// WSX://{"id":2,"status":200,
	//   "headers":{"content-type":"application/json"},"data":{"n":1},"stream":true}
	// WSX://{"id":2,"status":200,
	//   "headers":{"content-type":"application/json"}}
	// <nil>
}
