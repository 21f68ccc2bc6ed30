package wsx_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx"
)

// Whoever gives a refresh up before its token has been judged keeps the credentials that the
// connection had.
func TestServer_ARefreshThatIsCancelledChangesNothing(t *testing.T) {
	asked, judged := make(chan struct{}), make(chan struct{})
	d := callDispatcher()
	wsx.Handle(d, "who",
		func(ctx context.Context, _ struct{}) (any, error) {
			return wsx.IdentityFrom(ctx).Value, nil
		})
	_, client := serve(t, d,
		&wsx.ServerOptions{Authenticate: func(_ *http.Request, token string) (wsx.Identity, error) {
			if token == "new" {
				asked <- struct{}{}
				<-judged
			}
			return wsx.Identity{Subject: "ada", Value: "by " + token}, nil
		}})
	s := dialSocket(t, client, "ws://wsx.test/")
	s.send(request("1", "wsx.auth", `{"token":"old"}`))
	s.expect(response("1", `{"subject":"ada"}`))
	s.send(request("2", "wsx.auth", `{"token":"new"}`))
	<-asked
	s.send(cancelling("2"))
	s.expect(fault("2", "CANCELLED", "cancelled"))
	close(judged)
	for range 3 { // the refresh has its place in flight until it has ended
		s.send(request("3", "who", ""))
		s.expect(response("3", `"by old"`))
	}
	s.send(request("4", "wsx.auth", `{"token":"newer"}`), request("5", "who", ""))
	got := map[string]bool{s.read(): true, s.read(): true}
	if !got[response("4", `{"subject":"ada"}`)] {
		t.Error(got)
	}
}
