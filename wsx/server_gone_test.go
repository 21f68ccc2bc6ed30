package wsx_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"github.com/genropy/genro-asgi-go/wsx"
)

// A request that comes when its connection is about to be closed did not run: nothing is said of it
// that would keep its client from sending it again.
func TestServer_SaysNothingWrongOfRequestsThatDidNotRun(t *testing.T) {
	d := callDispatcher()
	var n atomic.Int64
	var server atomic.Pointer[wsx.Server]
	wsx.Handle(d, "count", func(ctx context.Context, i int) (int, error) {
		if n.Add(1)%100 == 50 {
			go server.Load().Disconnect(wsx.IdentityFrom(ctx).Subject, 0)
		}
		return i, nil
	})
	s, client := serve(t, d,
		&wsx.ServerOptions{Authenticate: func(r *http.Request, _ string) (wsx.Identity, error) {
			return wsx.Identity{Subject: r.URL.Query().Get("as")}, nil
		}})
	server.Store(s)
	for round := range 20 {
		c := dialSocket(t, client, fmt.Sprint("ws://wsx.test/?as=s", round))
		go func() {
			for i := range 1000 {
				if c.c.Write(t.Context(), websocket.MessageText,
					[]byte(request(fmt.Sprint(i), "count", fmt.Sprint(i)))) != nil {
					return
				}
			}
		}()
		for {
			_, b, err := c.c.Read(t.Context())
			if err != nil {
				if websocket.CloseStatus(err) != 4401 {
					t.Error(err)
				}
				break
			}
			if strings.Contains(string(b), "rpc.error") {
				t.Fatalf("answered %s", b)
			}
		}
	}
}

// Handlers that wait for a client that goes are not at fault.
func TestServer_IsQuietAboutHandlersWhoseClientHasGone(t *testing.T) {
	d := callDispatcher()
	wsx.Handle(d, "ask", func(ctx context.Context, _ struct{}) (int, error) {
		return wsx.Call[int](context.WithoutCancel(ctx), wsx.ConnFrom(ctx), "where", nil)
	})
	told := make(chan struct{}, 1)
	wsx.Handle(d, "tell", func(ctx context.Context, _ struct{}) (struct{}, error) {
		<-wsx.ConnFrom(ctx).Context().Done()
		err := wsx.ConnFrom(ctx).Notify(context.WithoutCancel(ctx), "late", 1)
		told <- struct{}{}
		return struct{}{}, err
	})
	var log logBuffer
	server, client := serve(t, d, &wsx.ServerOptions{Logger: log.logger()})
	s := dialSocket(t, client, "ws://wsx.test/")
	for i := range 20 {
		s.send(request(fmt.Sprint(i), "ask", ""))
		s.read()
	}
	s.send(request(`"tell"`, "tell", ""), ping)
	s.expect(pong)
	_ = s.c.CloseNow()
	<-told
	stop(t, server)
	if n := strings.Count(log.String(), "call failed"); n != 21 {
		t.Errorf("%d calls in the log", n)
	}
	if strings.Contains(log.String(), "level=ERROR") {
		t.Error(log.String())
	}
}
