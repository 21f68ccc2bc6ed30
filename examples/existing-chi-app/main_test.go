package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
	"github.com/genropy/genro-asgi-go/wsx"
	"github.com/genropy/genro-asgi-go/wsx/wsxclient"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

// start runs the app and returns its host and port, and a function that stops it and gives its
// error.
func start(t *testing.T) (addr string, stop func() error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx, l) }()
	return l.Addr().String(), func() error { cancel(); return <-done }
}

// get is an answer without its date, of a connection of its own.
func get(t *testing.T, url string) (status int, header http.Header, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	resp.Header.Del("Date")
	return resp.StatusCode, resp.Header, string(b)
}

// The routes alone, without the added lines, are the app as it was before.
func TestApp_OldRoutesAnswerAsBefore(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	before := &http.Server{Handler: routes(newNotebook("buy milk", "water the plants"))}
	served := make(chan struct{})
	go func() {
		_ = before.Serve(l)
		close(served)
	}()
	defer func() {
		_ = before.Close()
		<-served
	}()
	addr, stop := start(t)
	for path, want := range map[string]int{
		"/notes/1": 200, "/notes/2": 200, "/notes/3": 404, "/notes/one": 400, "/panic": 500,
		"/nowhere": 404, "/notes": 404,
	} {
		oldStatus, oldHeader, oldBody := get(t, "http://"+l.Addr().String()+path)
		status, header, body := get(t, "http://"+addr+path)
		if oldStatus != want || status != want || body != oldBody ||
			!reflect.DeepEqual(header, oldHeader) {
			t.Errorf("%s: before %d %v %q, now %d %v %q", path, oldStatus, oldHeader, oldBody,
				status, header, body)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestApp_MethodsShareTheAppsData(t *testing.T) {
	addr, stop := start(t)
	c, err := wsxclient.Dial(t.Context(), "ws://"+addr+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	added, err := wsxclient.Call[numberOf](t.Context(), c, "notes.add", textOf{"call home"})
	if err != nil || added.Number != 3 {
		t.Errorf("%+v, %v", added, err)
	}
	if _, _, body := get(t, "http://"+addr+"/notes/3"); body != "call home\n" {
		t.Errorf("over HTTP the new note is %q", body)
	}
	if note, err := wsxclient.Call[textOf](t.Context(), c, "notes.get", numberOf{1}); err != nil ||
		note.Text != "buy milk" {
		t.Errorf("%+v, %v", note, err)
	}
	if _, err = wsxclient.Call[textOf](t.Context(), c, "notes.get", numberOf{9}); !errors.Is(err,
		wsx.NewError(wsx.CodeNotFound, "no such note")) {
		t.Errorf("error %v", err)
	}
	if _, err = wsxclient.Call[numberOf](t.Context(), c, "notes.add", textOf{}); !errors.Is(err,
		wsx.NewError(wsx.CodeInvalidParams, "")) {
		t.Errorf("error %v", err)
	}

	if err := stop(); err != nil {
		t.Error(err)
	}
	var closed *wsxclient.ClosedError
	<-c.Done()
	if !errors.As(c.Err(), &closed) || closed.Code != 1001 {
		t.Errorf("the socket ended with %v", c.Err())
	}
	_ = c.Close()
}

// What the example promises: three lines, and the rest of the file knows nothing of this module.
func TestApp_ThreeLinesWereAdded(t *testing.T) {
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	var added, other int
	for line := range strings.Lines(string(source)) {
		switch {
		case strings.Contains(line, "// added: "):
			added++
		case strings.Contains(line, "genro-asgi-go") || strings.Contains(line, "live") &&
			!strings.HasPrefix(line, "//"):
			other++
			t.Logf("knows of it too: %s", line)
		}
	}
	if added != 3 || other != 0 {
		t.Errorf("%d lines added, %d others changed", added, other)
	}
}
