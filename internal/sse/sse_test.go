package sse_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/genropy/genro-asgi-go/internal/sse"
	"github.com/genropy/genro-asgi-go/internal/stopping"
)

func TestEvent_Append(t *testing.T) {
	for name, c := range map[string]struct {
		event sse.Event
		want  string
	}{
		"nothing": {sse.Event{}, "\n"},
		"all": {
			sse.Event{
				ID: "7", Type: "tick", Data: []byte(`{"n":1}`),
				Retry: 1500 * time.Millisecond,
			},
			"event: tick\nid: 7\nretry: 1500\ndata: {\"n\":1}\n\n",
		},
		"empty data": {sse.Event{Data: []byte{}}, "data: \n\n"},
		"line breaks": {
			sse.Event{Data: []byte("a\r\nb\rc\nd")},
			"data: a\ndata: b\ndata: c\ndata: d\n\n",
		},
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
		s, err := sse.Start(t.Context(), func(p []byte) error { sent <- string(p); return nil },
			15*time.Second)
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
		wait(31 * time.Second)
		if got := take(); got != ":\n\n:\n\n" {
			t.Errorf("31 s later: %q", got)
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
	if err := s.Send(sse.Event{ID: "\n"}); !errors.Is(err, sse.ErrField) ||
		s.Context().Err() != nil {
		t.Errorf("an event that cannot be: %v, and the context's error is %v", err,
			s.Context().Err())
	}
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

func TestStart_TellsWhenTheFirstWriteFails(t *testing.T) {
	gone := errors.New("gone")
	s, err := sse.Start(t.Context(), func([]byte) error { return gone }, time.Second)
	defer s.Stop()
	if !errors.Is(err, gone) {
		t.Error(err)
	}
}

func TestStream_StopWaitsForAHeartbeatUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s, err := sse.Start(t.Context(), func(p []byte) error {
			if p != nil {
				<-release
			}
			return nil
		}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(2 * time.Second)
		stopped := make(chan struct{})
		go func() { s.Stop(); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("stopped while a comment was being written")
		default:
		}
		close(release)
		<-stopped
	})
}

// deadlines is a writer that notes its deadlines and can fail.
type deadlines struct {
	*httptest.ResponseRecorder
	at  []time.Time
	err error
}

func (w *deadlines) SetWriteDeadline(at time.Time) error { w.at = append(w.at, at); return nil }

func (w *deadlines) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	return w.ResponseRecorder.Write(p)
}

func TestResponse_EachWriteHasADeadlineAndTellsItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		write := sse.Response(w, time.Second)
		for range 2 {
			if err := write([]byte(":\n\n")); err != nil {
				t.Error(err)
			}
			<-time.After(time.Second)
		}
		// Each is taken back when the write is done: over HTTP/2 one that passes in silence ends
		// the stream.
		if len(w.at) != 4 || w.at[2].Sub(w.at[0]) != time.Second || !w.at[1].IsZero() ||
			!w.at[3].IsZero() {
			t.Errorf("deadlines at %v", w.at)
		}
		w.err = errors.New("gone")
		if err := write([]byte(":\n\n")); !errors.Is(err, w.err) {
			t.Error(err)
		}
	})
}

func TestResponse_IsAFlushedEventStream(t *testing.T) {
	w := httptest.NewRecorder()
	write := sse.Response(w, time.Second)
	if h := w.Result().Header; h.Get("Cache-Control") != "no-store" ||
		h.Get("X-Accel-Buffering") != "no" || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the header has begun with %v", h)
	}
	if err := write([]byte("data: 1\n\n")); err != nil {
		t.Fatal(err)
	}
	if ct := w.Header().Get("Content-Type"); ct != "text/event-stream" || !w.Flushed ||
		w.Body.String() != "data: 1\n\n" {
		t.Errorf("%q, flushed %v, %q", ct, w.Flushed, w.Body)
	}
}

func TestStream_EndsWithTheCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, sent := time.Now(), 0
		ctx := stopping.WithExpiry(t.Context(), began.Add(time.Minute))
		s, err := sse.Start(ctx, func([]byte) error { sent++; return nil }, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		<-s.Context().Done()
		if took := time.Since(began); took != time.Minute ||
			!errors.Is(context.Cause(s.Context()), sse.ErrExpired) {
			t.Errorf("ended after %v with %v", took, context.Cause(s.Context()))
		}
		if err := s.Send(sse.Event{Data: []byte("late")}); !errors.Is(err, sse.ErrExpired) ||
			sent != 1 {
			t.Errorf("sent %d times, the last with %v", sent, err)
		}
	})
}

func TestStream_SurvivesAPanicOfTheWriterInAHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := sse.Start(t.Context(), func(p []byte) error {
			if p != nil {
				panic("a writer's")
			}
			return nil
		}, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Stop()
		<-s.Context().Done()
		if cause := context.Cause(s.Context()); cause == nil ||
			!strings.Contains(cause.Error(), "a writer's") {
			t.Errorf("ended with %v", cause)
		}
	})
}
