package httpconn

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// clockWriter takes a time for each write, and knows the deadlines that it was given.
type clockWriter struct {
	http.ResponseWriter
	each      time.Duration
	deadline  time.Time
	deadlines int
}

var errTooLate = errors.New("too late")

func (w *clockWriter) Write(p []byte) (int, error) {
	if w.late() {
		return 0, errTooLate
	}
	return w.ResponseWriter.Write(p)
}

func (w *clockWriter) ReadFrom(src io.Reader) (int64, error) {
	if w.late() {
		return 0, errTooLate
	}
	return io.Copy(w.ResponseWriter, src)
}

func (w *clockWriter) late() bool {
	<-time.After(w.each)
	return !w.deadline.IsZero() && time.Now().After(w.deadline)
}

func (w *clockWriter) FlushError() error {
	_, err := w.Write(nil)
	return err
}

func (w *clockWriter) SetWriteDeadline(at time.Time) error {
	w.deadline = at
	w.deadlines++
	return nil
}

const answerSize = 5*pieceSize + 7

// Each way of writing gives each piece its time, and loses no byte.
func TestPacedWriter_GivesEachPieceItsTime(t *testing.T) {
	text := strings.Repeat("0123456", answerSize/7)
	for name, write := range map[string]func(w *PacedWriter) (int64, error){
		"Write": func(w *PacedWriter) (int64, error) {
			n, err := w.Write([]byte(text))
			return int64(n), err
		},
		"WriteString": func(w *PacedWriter) (int64, error) {
			n, err := w.WriteString(text)
			return int64(n), err
		},
		"ReadFrom": func(w *PacedWriter) (int64, error) {
			return w.ReadFrom(strings.NewReader(text))
		},
		"ReadFrom what is limited": func(w *PacedWriter) (int64, error) {
			source := &io.LimitedReader{R: strings.NewReader(text + "more"), N: int64(len(text))}
			n, err := w.ReadFrom(source)
			if source.N != 0 && err == nil {
				t.Errorf("%d bytes of the limit are left", source.N)
			}
			return n, err
		},
	} {
		for pace, each := range map[string]time.Duration{
			"slow": 9 * time.Second, "too slow": 11 * time.Second,
		} {
			t.Run(name+"/"+pace, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rec := httptest.NewRecorder()
					clock := &clockWriter{ResponseWriter: rec, each: each}
					w := Pace(clock, httptest.NewRequest("GET", "/", nil), 10*time.Second)
					n, err := write(w)
					if pace == "too slow" {
						if !errors.Is(err, errTooLate) || n != 0 {
							t.Errorf("%d, %v", n, err)
						}
						return
					}
					if err != nil || n != int64(len(text)) || rec.Body.String() != text {
						t.Errorf("%d bytes of %d, %v", n, len(text), err)
					}
				})
			})
		}
	}
}

// A deadline costs a lock and a timer: many small writes share one.
func TestPacedWriter_SetsFewDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &clockWriter{ResponseWriter: httptest.NewRecorder(), each: 10 * time.Millisecond}
		w := Pace(clock, httptest.NewRequest("GET", "/", nil), time.Minute)
		for range 1000 {
			_, _ = io.WriteString(w, "x")
		}
		if clock.deadlines > 11 {
			t.Errorf("%d deadlines in 10 s", clock.deadlines)
		}
	})
}

func TestPacedWriter_LeavesDeadlinesToAHandlerThatSetsOne(t *testing.T) {
	clock := &clockWriter{ResponseWriter: httptest.NewRecorder()}
	w := Pace(clock, httptest.NewRequest("GET", "/", nil), time.Minute)
	own := time.Now().Add(time.Hour)
	if err := http.NewResponseController(w).SetWriteDeadline(own); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte("x"))
	w.Flush()
	w.Extend()
	if !clock.deadline.Equal(own) || w.hurry(time.Second) {
		t.Errorf("the deadline is %v", clock.deadline)
	}
}

// Over HTTP/2 a deadline that passes ends the stream, though nothing is written.
func TestPacedWriter_LeavesNoDeadlineBetweenWritesOfHTTP2(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.ProtoMajor = 2
	clock := &clockWriter{ResponseWriter: httptest.NewRecorder()}
	w := Pace(clock, r, time.Minute)
	for name, write := range map[string]func(){
		"Write":       func() { _, _ = w.Write([]byte("x")) },
		"WriteString": func() { _, _ = w.WriteString("x") },
		"ReadFrom":    func() { _, _ = w.ReadFrom(bytes.NewReader([]byte("x"))) },
		"FlushError":  func() { _ = w.FlushError() },
	} {
		before := clock.deadlines
		if write(); !clock.deadline.IsZero() || clock.deadlines == before {
			t.Errorf("%s: %v after %d deadlines", name, clock.deadline, clock.deadlines-before)
		}
	}
}

func TestPace_SetsNoDeadlineWhereAnswersAreLimitedAlready(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	server := &http.Server{WriteTimeout: time.Second}
	limited := r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, server))
	h2 := limited.Clone(limited.Context())
	h2.ProtoMajor = 2
	for name, pace := range map[string]func(w http.ResponseWriter) *PacedWriter{
		"a negative time": func(w http.ResponseWriter) *PacedWriter { return Pace(w, r, -1) },
		"the server's":    func(w http.ResponseWriter) *PacedWriter { return Pace(w, limited, 1) },
		"over HTTP/2":     func(w http.ResponseWriter) *PacedWriter { return Pace(w, h2, 1) },
	} {
		clock := &clockWriter{ResponseWriter: httptest.NewRecorder()}
		w := pace(clock)
		if _, err := w.Write(make([]byte, answerSize)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		w.Flush()
		w.Extend()
		if clock.deadlines != 0 || w.hurry(time.Second) {
			t.Errorf("%s: %d deadlines, or it can be hurried", name, clock.deadlines)
		}
		if w.Status() != http.StatusOK || w.Bytes() != answerSize || w.OwnDeadlines() {
			t.Errorf("%s: %d, %d bytes, %v", name, w.Status(), w.Bytes(), w.OwnDeadlines())
		}
		control := http.NewResponseController(w)
		if err := control.SetWriteDeadline(time.Now()); err != nil || !w.OwnDeadlines() {
			t.Errorf("%s: a deadline of the handler's own: %v", name, err)
		}
	}
	if (*PacedWriter)(nil).hurry(time.Second) {
		t.Error("there is no answer to hurry")
	}
}

type pusher struct{ http.ResponseWriter }

func (pusher) Push(target string, _ *http.PushOptions) error { return errors.New(target) }

func TestPacedWriter_PushesWhereTheServerDoes(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	w := Pace(httptest.NewRecorder(), r, time.Minute)
	if err := w.Push("/a", nil); !errors.Is(err, http.ErrNotSupported) {
		t.Error(err)
	}
	w = Pace(pusher{httptest.NewRecorder()}, r, time.Minute)
	if err := w.Push("/a", nil); err == nil || err.Error() != "/a" {
		t.Error(err)
	}
}
