package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testKeys = keys("0123456789abcdef0123456789abcdef")

// service is the program on a real port, for as long as the test runs.
type service struct {
	t      *testing.T
	url    string
	client *http.Client
}

func serve(t *testing.T) *service {
	t.Helper()
	return serveIn(t, t.TempDir())
}

func serveIn(t *testing.T, data string) *service {
	t.Helper()
	app, err := open(config{data: data, origins: []string{"https://shop.example"}, keys: testKeys})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- app.Serve(ctx, l) }()
	s := &service{
		t: t, url: "http://" + l.Addr().String(),
		client: &http.Client{Transport: &http.Transport{}},
	}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s
}

func token(t *testing.T, subject, role string) string {
	t.Helper()
	text, err := testKeys.issue(subject, role, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// as fills a value from the answer, which must have the status.
func as[T any](t *testing.T, a answer, status int) (out T) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil {
		t.Fatalf("%s: %v", a.body, err)
	}
	return out
}

// send makes a request; a body of "" is none.
func (s *service) send(bearer, method, path, body string, header ...string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, resp.Body); err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, b.String()}
}

const tea = `{"items":[{"sku":"tea","quantity":2,"cents":150}],"note":"for Ada"}`

// order creates one.
func (s *service) order(bearer string) Order {
	s.t.Helper()
	return as[Order](s.t, s.send(bearer, "POST", "/orders", tea), 201)
}

// dial connects to the WebSocket.
func (s *service) dial(bearer string) *wsxclient.Client {
	s.t.Helper()
	c, err := wsxclient.Dial(s.t.Context(), s.url+"/ws", &wsxclient.Options{
		Token: func(context.Context) (string, error) { return bearer, nil },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// wrong is a problem's status, code and fields on one line.
func wrong(t *testing.T, a answer) (p problem.Error, fields string) {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("status %d, type %q: %s", a.status, got, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range p.Fields {
		all = append(all, f.In+f.Pointer+" "+f.Detail)
	}
	return p, strings.Join(all, "; ")
}
