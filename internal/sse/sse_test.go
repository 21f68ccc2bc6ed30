package sse_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/internal/sse"
)

func TestEvent_Append(t *testing.T) {
	for name, c := range map[string]struct {
		event sse.Event
		want  string
	}{
		"nothing":     {sse.Event{}, "\n"},
		"all":         {sse.Event{ID: "7", Type: "tick", Data: []byte(`{"n":1}`), Retry: 1500 * time.Millisecond}, "event: tick\nid: 7\nretry: 1500\ndata: {\"n\":1}\n\n"},
		"empty data":  {sse.Event{Data: []byte{}}, "data: \n\n"},
		"line breaks": {sse.Event{Data: []byte("a\r\nb\rc\nd")}, "data: a\ndata: b\ndata: c\ndata: d\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := c.event.Append([]byte("before"))
			if err != nil || string(b) != "before"+c.want {
				t.Errorf("%q, %v; want %q", b, err, c.want)
			}
		})
	}
}

func TestEvent_RefusesFieldsThatWouldBeOthers(t *testing.T) {
	for _, e := range []sse.Event{{ID: "1\ndata: x"}, {Type: "a\rb"}, {ID: "nul\x00"}} {
		if b, err := e.Append(nil); !errors.Is(err, sse.ErrField) || len(b) != 0 {
			t.Errorf("%+v: %q, %v", e, b, err)
		}
	}
}

func TestStream_BeatsOnlyInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := make(chan string, 8)
		s, err := sse.Start(t.Context(), func(p []byte) error { sent <- string(p); return nil }, 15*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		wait := func(d time.Duration) {
			select {
			case <-time.After(d):
			case <-s.Context().Done():
			}
			synctest.Wait()
		}
		take := func() (all string) {
			for len(sent) > 0 {
				all += <-sent
			}
			return all
		}
		wait(10 * time.Second)
		if err := s.Send(sse.Event{Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		wait(14 * time.Second)
		if got := take(); got != "data: x\n\n" {
			t.Errorf("14 s after an event: %q", got)
		}
		wait(2 * time.Second)
		if got := take(); got != ":\n\n" {
			t.Errorf("16 s after an event: %q", got)
		}
	})
}

func TestStream_EndsWithItsWriter(t *testing.T) {
	gone := errors.New("gone")
	fail := false
	s, err := sse.Start(t.Context(), func([]byte) error {
		if fail {
			return gone
		}
		return nil
	}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	fail = true
	if err := s.Send(sse.Event{Data: []byte("x")}); !errors.Is(err, gone) {
		t.Errorf("Send: %v", err)
	}
	if err := context.Cause(s.Context()); !errors.Is(err, gone) {
		t.Errorf("the context's cause: %v", err)
	}
}

func TestStream_HeartbeatFindsOutThatTheClientIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("gone")
		writes := 0
		s, err := sse.Start(t.Context(), func([]byte) error {
			if writes++; writes > 1 {
				return gone
			}
			return nil
		}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		<-s.Context().Done()
		if err := context.Cause(s.Context()); !errors.Is(err, gone) {
			t.Errorf("the context's cause: %v", err)
		}
	})
}

func TestResponse_IsAFlushedEventStream(t *testing.T) {
	w := httptest.NewRecorder()
	write := sse.Response(w, time.Second)
	if err := write([]byte("data: 1\n\n")); err != nil {
		t.Fatal(err)
	}
	if ct := w.Header().Get("Content-Type"); ct != "text/event-stream" || !w.Flushed || w.Body.String() != "data: 1\n\n" {
		t.Errorf("%q, flushed %v, %q", ct, w.Flushed, w.Body)
	}
}
