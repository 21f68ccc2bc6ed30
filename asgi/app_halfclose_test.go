package asgi_test

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/asgi"
)

// A client that ends its side of the connection with its last request gets its answer, body and
// all; internal/httpconn has the rest.
func TestApp_AnswersWhoHalfCloses(t *testing.T) {
	closed := make(chan struct{})
	app := newApp(asgi.Handle(func(ctx context.Context, in struct{ N int }) (int, error) {
		<-closed
		return in.N, ctx.Err()
	}))
	l, base := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- app.Serve(ctx, l) }()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const request = postRequest + "Connection: close\r\nContent-Length: 7\r\n\r\n" + `{"N":7}`
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	close(closed)
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasSuffix(string(answer), "\r\n\r\n7") {
		t.Errorf("%q, %v", answer, err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
