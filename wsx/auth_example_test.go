package wsx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

// Who may in is decided before the upgrade, by plain HTTP; from then on handlers know the subject.
func ExampleAuthenticator() {
	users := map[string]string{"t-ada": "ada"} // by token
	authenticate := func(_ *http.Request, token string) (wsx.Identity, error) {
		user, ok := users[token]
		if !ok {
			return wsx.Identity{}, wsx.NewError(wsx.CodeUnauthenticated, "no such token")
		}
		return wsx.Identity{Subject: user, Expires: time.Now().Add(time.Hour)}, nil
	}
	methods := wsx.NewDispatcher()
	wsx.Handle(methods, "whoami",
		func(ctx context.Context, _ struct{}) (string, error) {
			return wsx.IdentityFrom(ctx).Subject, nil
		})
	server := wsx.NewServer(methods, &wsx.ServerOptions{Authenticate: authenticate})
	mux := http.NewServeMux()
	mux.Handle("/ws", server)
	// the same users by HTTP
	mux.Handle("/rpc", wsx.Authenticator(authenticate).Middleware(wsx.JSONRPC(methods, nil)))
	srv := httptest.NewServer(mux)
	defer srv.Close()

	ctx := context.Background()
	for _, token := range []string{"t-ada", "guessed"} {
		client, err := wsxclient.Dial(ctx, srv.URL+"/ws",
			&wsxclient.Options{Header: http.Header{"Authorization": {"Bearer " + token}}})
		if refused, ok := errors.AsType[*wsxclient.HandshakeError](err); ok {
			fmt.Println(refused.Status)
			continue
		}
		fmt.Println(wsxclient.Call[string](ctx, client, "whoami", nil))
		fmt.Println(server.Disconnect("ada", 0), client.Close())
	}
	fmt.Println(server.Stop(ctx))
	// Output:
	// ada <nil>
	// 1 <nil>
	// 401
	// <nil>
}
