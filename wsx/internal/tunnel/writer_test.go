package tunnel_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/wsx/internal/tunnel"
)

// answers is a call that keeps what was sent, and the largest answer that room was asked for.
type answers struct {
	context.Context
	sent     []string
	reserved int
	full     bool // there is no room until the context of the wait ends
}

func (*answers) ID() []byte { return []byte(`7`) }

func (a *answers) Reserve(ctx context.Context, n int) error {
	if a.full {
		<-ctx.Done()
		return ctx.Err()
	}
	a.reserved = max(a.reserved, n)
	return nil
}

func (a *answers) Send(ctx context.Context, message []byte) error {
	if a.full {
		<-ctx.Done()
		return ctx.Err()
	}
	a.sent = append(a.sent, string(message))
	return nil
}

// written is what follows the id in the answer that handle gives.
func written(t *testing.T, head bool, handle func(w *tunnel.Writer)) string {
	t.Helper()
	w := tunnel.NewWriter(&answers{Context: t.Context()}, head, 1<<20)
	defer w.Close()
	handle(w)
	out, err := w.Finish(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestWriter_AnswersAsNetHTTPDoes(t *testing.T) {
	const ok = `,"status":200,"headers":{`
	const text, html = `"content-type":"text/plain; charset=utf-8"`, `"text/html; charset=utf-8"`
	for name, tc := range map[string]struct {
		head   bool
		handle func(w *tunnel.Writer)
		want   string
	}{
		"nothing": {false, func(*tunnel.Writer) {}, ok + `}`},
		"text": {false, func(w *tunnel.Writer) {
			_, _ = w.WriteString("a\nb")
		}, ok + text + `},"data":"a\nb"`},
		"json": {false, func(w *tunnel.Writer) {
			w.Header().Set("Content-Type", "application/problem+json")
			_, _ = io.WriteString(w, "{\"a\":1}\n")
		}, ok + `"content-type":"application/problem+json"},"data":{"a":1}`},
		"no json": {false, func(w *tunnel.Writer) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"a":`)
		}, ok + `"content-type":"application/json"},"data":"{\"a\":"`},
		"bytes": {false, func(w *tunnel.Writer) {
			_, _ = w.Write([]byte{0xff, 0, 1})
		}, ok + `"content-type":"application/octet-stream"},"data":{"base64":"/wAB"}`},
		"the first status counts": {false, func(w *tunnel.Writer) {
			w.WriteHeader(http.StatusEarlyHints)
			w.Header()["Set-Cookie"] = []string{"a=1, b", "c=2"}
			w.Header()["Vary"] = []string{"a", "b"}
			w.Header().Set("Connection", "close")
			w.Header()["Empty"] = nil
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK)
			w.Header().Set("Late", "x")
		}, `,"status":418,"headers":{"set-cookie":["a=1, b","c=2"],"vary":"a, b"}`},
		"head": {true, func(w *tunnel.Writer) {
			n, err := io.WriteString(w, "<html>")
			if n != 6 || err != nil {
				t.Error(n, err)
			}
		}, ok + `"content-type":` + html + `}`},
		"no content": {false, func(w *tunnel.Writer) {
			w.WriteHeader(http.StatusNoContent)
			if _, err := io.WriteString(w, "x"); !errors.Is(err, http.ErrBodyNotAllowed) {
				t.Error(err)
			}
		}, `,"status":204,"headers":{}`},
	} {
		if got := written(t, tc.head, tc.handle); got != tc.want {
			t.Errorf("%s:\n%s, want\n%s", name, got, tc.want)
		}
	}
}

func TestWriter_FlushesWhatWasWrittenSince(t *testing.T) {
	call := &answers{Context: t.Context()}
	w := tunnel.NewWriter(call, false, 4)
	for _, part := range []string{"ab", "cd"} {
		if _, err := io.WriteString(w, part); err != nil {
			t.Fatal(err)
		}
		w.Flush()
	}
	_, _ = io.WriteString(w, "e")
	last, err := w.Finish([]byte("<"))
	if err != nil {
		t.Fatal(err)
	}
	const head = `"status":200,"headers":{"content-type":"text/plain; charset=utf-8"},"data":`
	want := []string{
		`WSX://{"id":7,` + head + `"ab","stream":true}`,
		`WSX://{"id":7,` + head + `"cd","stream":true}`,
		`<,` + head + `"e"`,
	}
	got := append(slices.Clone(call.sent), string(last))
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q, want\n%q", got, want)
	}
	if call.reserved != 2 {
		t.Errorf("room for %d bytes was asked for", call.reserved)
	}
}

func TestWriter_HasALimit(t *testing.T) {
	w := tunnel.NewWriter(&answers{Context: t.Context()}, false, 3)
	defer w.Close()
	if _, err := io.WriteString(w, "abcd"); err == nil {
		t.Error("a body over the limit was taken")
	}
	if _, err := io.WriteString(w, "a"); err == nil {
		t.Error("what follows a hole was taken")
	}
	if _, err := w.Finish(nil); err == nil || w.FlushError() == nil {
		t.Error("a body with a hole was handed out")
	}
}

func TestWriter_WaitsNoLongerThanItsDeadline(t *testing.T) {
	call := &answers{Context: t.Context(), full: true}
	w := tunnel.NewWriter(call, false, 100)
	if err := errors.Join(w.SetWriteDeadline(time.Now()), w.SetReadDeadline(time.Now())); err !=
		nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Write: %v", err)
	}
	if err := w.FlushError(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Flush: %v", err)
	}
}

func TestWriter_ClosedIsForGoroutinesThatAreLate(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := tunnel.NewWriter(&answers{Context: ctx}, false, 100)
	cancel()
	if _, err := io.WriteString(w, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("after the call's end: %v", err)
	}
	w.Close()
	if _, err := w.Write(bytes.Repeat([]byte("a"), 9)); err == nil || w.FlushError() == nil {
		t.Error("a closed writer takes bytes")
	}
	defer func() {
		if recover() == nil {
			t.Error("a status that is none was taken")
		}
	}()
	w.WriteHeader(99)
}
