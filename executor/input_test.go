//go:build linux

package executor_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/problem"
)

// span is validated. What Validate prepares does not travel.
type span struct {
	From int `json:"from"`
	To   int `json:"to"`

	length int
}

func (s *span) Validate() error {
	switch s.length = s.To - s.From; {
	case s.From < 0 && s.To < 0:
		return errors.Join(errors.New("secret: both"),
			problem.Field{Pointer: "/from", Detail: "must not be negative"},
			problem.Field{Pointer: "/to", Detail: "must not be negative"})
	case s.length < 0:
		return errors.New("secret: ends before it begins")
	case s.length > 1000:
		return problem.Conflict("Too long a span.")
	}
	return nil
}

// oneWay can be written as JSON and not be read again.
type oneWay struct{}

func (o oneWay) MarshalJSON() ([]byte, error) { return []byte(`"text"`), nil }
func (o *oneWay) UnmarshalJSON([]byte) error  { return errors.New("not this way") }

var (
	lengthOf = executor.NewFunc("length of",
		func(_ context.Context, s span) (int, error) { return s.length, nil })
	lengthAt = executor.NewFunc("length at",
		func(_ context.Context, s *span) (int, error) { return s.length, nil })
	takes = executor.NewFunc("takes one way",
		func(context.Context, oneWay) (none, error) { panic("called") })
	gives = executor.NewFunc("gives one way",
		func(context.Context, none) (oneWay, error) { return oneWay{}, nil })
	invalid = executor.NewFunc("returns an input error",
		func(context.Context, none) (none, error) {
			_, err := executor.RunBlocking(context.Background(), nil,
				func(context.Context) (none, error) { return none{}, nil })
			return none{}, fmt.Errorf("inner: %w",
				errors.Join(err, executor.ErrResult, &executor.InputError{}))
		})
)

func TestFunc_ValidatesItsInput(t *testing.T) {
	ex := start(t, nil)
	for _, call := range []func(span) (int, error){
		func(s span) (int, error) { return lengthOf.Run(t.Context(), ex, s) },
		func(s span) (int, error) { return lengthAt.Run(t.Context(), ex, &s) },
	} {
		if n, err := call(span{From: 2, To: 5}); n != 3 || err != nil {
			t.Errorf("what Validate prepared is not there: %d, %v", n, err)
		}
		for in, status := range map[span]int{
			{From: -2, To: -1}: 422, {From: 1}: 422,
			{To: 1001}: 409,
		} {
			_, err := call(in)
			var refused *executor.InputError
			if !errors.As(err, &refused) || refused.StatusCode() != status || refused.Err == nil ||
				!strings.HasPrefix(refused.Func, "length ") {
				t.Errorf("%+v: %#v", in, err)
			}
		}
	}
	if s := ex.Stats().Process; s.Done != 2 || s.Failed != 0 {
		t.Errorf("a refused input was a call: %+v", s)
	}
}

func TestFunc_TellsWhatDoesNotTravel(t *testing.T) {
	ex := start(t, nil)
	var refused *executor.InputError
	if _, err := takes.Run(t.Context(), ex, oneWay{}); !errors.As(err, &refused) ||
		refused.Func != "takes one way" || !strings.Contains(err.Error(), "not this way") {
		t.Errorf("an input that the worker cannot read: %#v", err)
	}
	if _, err := gives.Run(t.Context(), ex, none{}); !errors.Is(err, executor.ErrResult) ||
		!strings.Contains(err.Error(), "not this way") {
		t.Errorf("a result that the caller cannot read: %#v", err)
	}
	var remote *executor.RemoteError
	if _, err := invalid.Run(t.Context(), ex, none{}); !errors.As(err, &remote) ||
		errors.As(err, &refused) || errors.Is(err, executor.ErrResult) {
		t.Errorf("a function's own error was taken for one of its input or result: %#v", err)
	}
}

func TestHandler_RefusesWhatValidateRefuses(t *testing.T) {
	ex := start(t, nil)
	for name, h := range map[string]http.Handler{
		"Handler": executor.Handler(ex, lengthOf, nil),
		"BlockingHandler": executor.BlockingHandler(ex,
			func(_ context.Context, s *span) (int, error) { return s.length, nil }, nil),
	} {
		for in, want := range map[string]string{
			`{"from":1,"to":3}`: `2`,
			`{"from":-1,"to":-1}`: `{"title":"Unprocessable Entity","status":422,"detail":"The ` +
				`request has invalid fields.","errors":[` +
				`{"in":"body","pointer":"/from","detail":"must not be ` +
				`negative"},{"in":"body","pointer":"/to","detail":"must not be negative"}]}`,
			`{"from":1,"to":0}`: `{"title":"Unprocessable Entity","status":422,"detail":"The ` +
				`request is not valid."}`,
			`{"from":0,"to":1001}`: `{"title":"Conflict","status":409,"detail":"Too long a span."}`,
		} {
			if w := post(h, asJSON, in); w.Body.String() != want {
				t.Errorf("%s: %s: %d %s", name, in, w.Code, w.Body)
			}
		}
	}
}

func TestHandler_RefusesWhatAnotherSiteMaySend(t *testing.T) {
	ran := false
	count := func(context.Context, []any) (int, error) { ran = true; return 1, nil }
	raw := func(context.Context, []byte) (int, error) { ran = true; return 1, nil }
	ex := executor.New(nil)
	typed, bytes := executor.BlockingHandler(ex, count, nil), executor.BlockingHandler(ex, raw, nil)
	for _, media := range []string{
		"", "text/plain", "application/x-www-form-urlencoded",
		"multipart/form-data; boundary=x", "text/plain; application/json",
	} {
		for _, h := range []http.Handler{typed, bytes} {
			if w := post(h, media, `[]`); w.Code != http.StatusUnsupportedMediaType || ran {
				t.Errorf("%q: %d %s", media, w.Code, w.Body)
			}
		}
	}
	two := request(asJSON, `[]`)
	two.Header.Add("Content-Type", "text/plain")
	coded := request(asJSON, `[]`)
	coded.Header.Set("Content-Encoding", "gzip")
	for _, r := range []*http.Request{two, coded} {
		w := httptest.NewRecorder()
		typed.ServeHTTP(w, r)
		if w.Code != http.StatusUnsupportedMediaType || ran {
			t.Errorf("%v: %d %s", r.Header, w.Code, w.Body)
		}
	}
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	if w := post(typed, asJSON, deep(33)); w.Code != http.StatusBadRequest || ran {
		t.Errorf("33 levels: %d %s", w.Code, w.Body)
	}
	if w := post(typed, asJSON, deep(32)); w.Code != http.StatusOK {
		t.Errorf("32 levels: %d %s", w.Code, w.Body)
	}
	if w := post(bytes, "application/octet-stream", deep(100)); w.Code != http.StatusOK {
		t.Errorf("bytes: %d %s", w.Code, w.Body)
	}
}

func TestHandler_AnswersASlowBodyWithATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := false
		client, conn := net.Pipe()
		defer client.Close()
		server := &http.Server{
			Handler: executor.BlockingHandler(executor.New(nil),
				func(context.Context, int) (int, error) { ran = true; return 1, nil }, nil),
			ReadTimeout: time.Second,
		}
		listener := &oneConn{conns: make(chan net.Conn, 1)}
		listener.conns <- conn
		var served sync.WaitGroup
		served.Go(func() { _ = server.Serve(listener) })
		defer served.Wait()
		defer server.Close()
		_, _ = io.WriteString(client, "POST / HTTP/1.1\r\nHost: x\r\n"+
			"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n1")
		answer, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusRequestTimeout || ran {
			t.Errorf("%s, ran: %v", answer.Status, ran)
		}
	})
}

// oneConn is a listener with a connection in memory, whose deadlines are those of the bubble.
type oneConn struct{ conns chan net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if conn, ok := <-l.conns; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}
func (l *oneConn) Close() error { close(l.conns); return nil }
func (*oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func TestHandler_NeverAnswersAnEndedRequestWith200(t *testing.T) {
	var logs lockedBuffer
	waits := func(ctx context.Context, panics bool) (int, error) {
		<-ctx.Done()
		if panics {
			panic("oh no")
		}
		return 0, errors.New("given up")
	}
	ex := executor.New(nil)
	for name, c := range map[string]struct {
		cause  error
		status int
	}{
		"client gone": {nil, 499},
		"shutdown":    {statusError(http.StatusServiceUnavailable), http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(c.cause)
			w := httptest.NewRecorder()
			executor.BlockingHandler(ex, waits, nil).ServeHTTP(w,
				logged(request(asJSON, "false").WithContext(ctx), &logs))
			if w.Code != c.status {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	if strings.Count(logs.String(), "level=ERROR") != 1 ||
		strings.Count(logs.String(), "level=INFO") != 1 {
		t.Errorf("a client that leaves is no error: %s", &logs)
	}
	// A function's panic is one, whoever listens.
	ctx, cancel := context.WithCancel(t.Context())
	w := httptest.NewRecorder()
	executor.BlockingHandler(ex, func(context.Context, int) (int, error) {
		cancel()
		panic("oh no")
	}, nil).ServeHTTP(w, logged(request(asJSON, "1").WithContext(ctx), &logs))
	if w.Code != 499 && (w.Code != 500 || !strings.Contains(logs.String(), "oh no")) {
		t.Errorf("%d %s", w.Code, &logs)
	}
}

func TestConstructors_RefuseNil(t *testing.T) {
	ex := executor.New(nil)
	double := func(_ context.Context, n int) (int, error) { return 2 * n, nil }
	for name, construct := range map[string]func(){
		"NewFunc":                      func() { executor.NewFunc[int, int]("no function", nil) },
		"Handler without an executor":  func() { executor.Handler(nil, echo, nil) },
		"Handler without a function":   func() { executor.Handler[int, int](ex, nil, nil) },
		"BlockingHandler without":      func() { executor.BlockingHandler(nil, double, nil) },
		"BlockingHandler without a fn": func() { executor.BlockingHandler[int, int](ex, nil, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, "executor: ") ||
					!strings.Contains(text, "needed") {
					t.Errorf("%q", text)
				}
			}()
			construct()
		})
	}
	if _, err := executor.RunBlocking(t.Context(), nil,
		func(context.Context) (int, error) { return 1, nil }); err == nil {
		t.Error("RunBlocking without an executor")
	}
	if _, err := executor.RunBlocking[int](t.Context(), ex, nil); err == nil {
		t.Error("RunBlocking without a function")
	}
	if _, err := echo.Run(t.Context(), nil, sample); err == nil {
		t.Error("Run without an executor")
	}
	if _, err := (*executor.Func[int, int])(nil).Run(t.Context(), ex, 1); err == nil {
		t.Error("Run without a function")
	}
}
