package wsx_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx"
)

// tunnelled is a request through the tunnel.
func tunnelled(id, method, path, more string) string {
	return `WSX://{"id":` + id + `,"method":"` + method + `","path":"` + path + `"` + more + `}`
}

func TestTunnel_CarriesRequestsToAnyHandler(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"hello":%q}`+"\n", r.PathValue("name"))
	})
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", r.Header.Get("Content-Type"))
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for n := range 3 {
			fmt.Fprintf(w, `{"n":%d}`, n)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
		}
	})
	s := dial(t, wsx.NewDispatcher(), &wsx.ServerOptions{HTTP: mux})
	const head = `"status":200,"headers":{"content-type":"application/json"}`
	s.send(tunnelled("1", "GET", "/hello/Ada", ""))
	s.expect(`WSX://{"id":1,` + head + `,"data":{"hello":"Ada"}}`)
	s.send(tunnelled(`"x"`, "POST", "/echo", `,"data":{ "a" : 1 }`))
	s.expect(`WSX://{"id":"x",` + head + `,"data":{ "a" : 1 }}`)
	s.send(tunnelled("3", "GET", "/stream", ""))
	for n := range 3 {
		s.expect(fmt.Sprintf(`WSX://{"id":3,%s,"data":{"n":%d},"stream":true}`, head, n))
	}
	s.expect(`WSX://{"id":3,` + head + `}`)
}
