package respwriter_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/respwriter"
)

func TestWriter_CommitHappensOnce(t *testing.T) {
	cases := map[string]struct {
		write  func(w *respwriter.Writer)
		status int
		bytes  int64
	}{
		"write implies 200": {
			func(w *respwriter.Writer) { _, _ = w.Write([]byte("hi")) },
			200, 2,
		},
		"so does a string": {
			func(w *respwriter.Writer) { _, _ = io.WriteString(w, "hi") },
			200, 2,
		},
		"first status wins": {func(w *respwriter.Writer) {
			w.WriteHeader(201)
			w.WriteHeader(500)
		}, 201, 0},
		"informational is not it": {func(w *respwriter.Writer) {
			w.WriteHeader(103)
			w.WriteHeader(404)
		}, 404, 0},
		"flush commits": {func(w *respwriter.Writer) { w.Flush() }, 200, 0},
		"copy is counted": {func(w *respwriter.Writer) {
			_, _ = io.Copy(w, strings.NewReader("hello"))
		}, 200, 5},
		"nothing": {func(*respwriter.Writer) {}, 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			calls := 0
			rec := httptest.NewRecorder()
			w := respwriter.New(rec, func(status int) {
				calls++
				rec.Header().Set("X-Status", http.StatusText(status))
			})
			c.write(w)
			if w.Status() != c.status || w.Bytes() != c.bytes || w.Committed() != (c.status != 0) {
				t.Errorf("status %d, bytes %d, committed %v", w.Status(), w.Bytes(), w.Committed())
			}
			if want := min(c.status, 1); calls != want {
				t.Errorf("before ran %d times, want %d", calls, want)
			}
			if c.status != 0 && rec.Header().Get("X-Status") != http.StatusText(c.status) {
				t.Errorf("no header was set at the last moment: %v", rec.Header())
			}
		})
	}
}

type statuses struct {
	http.ResponseWriter
	seen []int
}

func (s *statuses) WriteHeader(status int) { s.seen = append(s.seen, status) }

func TestWriter_ALateStatusIsPassedOn(t *testing.T) {
	under := &statuses{ResponseWriter: httptest.NewRecorder()}
	var w respwriter.Writer
	w.Init(under)
	told := 0
	w.Before(func(int) { told++ })
	w.WriteHeader(200)
	w.WriteHeader(500)
	if w.Status() != 200 || told != 1 || !slices.Equal(under.seen, []int{200, 500}) {
		t.Errorf("status %d, before ran %d times, beneath %v", w.Status(), told, under.seen)
	}
}

type bare struct{ http.ResponseWriter }

func TestWriter_MissingCapabilitiesAreErrors(t *testing.T) {
	w := respwriter.New(bare{httptest.NewRecorder()}, nil)
	if err := w.FlushError(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("flush: %v", err)
	}
	if _, _, err := w.Hijack(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("hijack: %v", err)
	}
	if w.Committed() {
		t.Error("committed by a capability that is not there")
	}
}

func TestWriter_HijackIsKnown(t *testing.T) {
	done := make(chan *respwriter.Writer, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		w := respwriter.New(rw, func(int) { t.Error("before ran for a hijacked connection") })
		conn, _, err := w.Hijack()
		if err == nil {
			_ = conn.Close()
		}
		done <- w
	}))
	defer srv.Close()
	if _, err := http.Get(srv.URL); err == nil {
		t.Error("the closed connection answered")
	}
	if w := <-done; !w.Hijacked() || !w.Committed() || w.Status() != 101 {
		t.Errorf("hijacked %v, committed %v, status %d", w.Hijacked(), w.Committed(), w.Status())
	}
}

func TestWriter_FlushReachesThroughWrappers(t *testing.T) {
	rec := httptest.NewRecorder()
	outer := respwriter.New(respwriter.New(rec, nil), nil)
	if err := outer.FlushError(); err != nil || !rec.Flushed || outer.Status() != 200 {
		t.Errorf("%v, flushed %v, status %d", err, rec.Flushed, outer.Status())
	}
	rec.Flushed = false
	if err := http.NewResponseController(outer).Flush(); err != nil || !rec.Flushed {
		t.Errorf("once committed: %v, flushed %v", err, rec.Flushed)
	}
}

type wrapping struct{ http.ResponseWriter }

func (w wrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestWriter_FlushFindsAFlusherBehindUnwrap(t *testing.T) {
	rec := httptest.NewRecorder()
	if err := respwriter.New(wrapping{rec}, nil).FlushError(); err != nil || !rec.Flushed {
		t.Errorf("%v, flushed %v", err, rec.Flushed)
	}
	if err := respwriter.New(wrapping{bare{rec}}, nil).FlushError(); !errors.Is(err,
		errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func TestWriter_CommitSendsTheHeaderOnce(t *testing.T) {
	under := &statuses{ResponseWriter: httptest.NewRecorder()}
	w := respwriter.New(under, nil)
	w.WriteHeader(103) // passed on, and not the final one
	w.Commit(201)
	w.Commit(500)
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	w.Commit(200)
	if w.Status() != 201 || !slices.Equal(under.seen, []int{103, 201}) {
		t.Errorf("status %d, beneath %v", w.Status(), under.seen)
	}
}

// boasting has Flush and Hijack whatever is beneath it, as this module's Writer and many
// middlewares' do.
type boasting struct {
	wrapping
	http.Flusher
	http.Hijacker
}

func TestCan_LooksThroughWhoPromisesForOthers(t *testing.T) {
	for name, c := range map[string]struct {
		w             http.ResponseWriter
		flush, hijack bool
	}{
		"a recorder": {httptest.NewRecorder(), true, false},
		"a recorder in ours": {
			respwriter.New(httptest.NewRecorder(), nil), true,
			false,
		},
		"hidden, in ours": {
			respwriter.New(respwriter.New(bare{httptest.NewRecorder()}, nil), nil), false, false,
		},
		"hidden, in one that boasts": {
			boasting{wrapping: wrapping{bare{httptest.NewRecorder()}}}, false, false,
		},
		"one that wraps nothing":          {boasting{}, true, true},
		"one that shows what it wraps":    {wrapping{httptest.NewRecorder()}, true, false},
		"one that hides and does nothing": {bare{wrapping{httptest.NewRecorder()}}, false, false},
	} {
		flush, hijack := respwriter.CanFlush(c.w), respwriter.CanHijack(c.w)
		if (flush == nil) != c.flush || (hijack == nil) != c.hijack {
			t.Errorf("%s: flush %v, hijack %v", name, flush, hijack)
		}
		for _, err := range []error{flush, hijack} {
			if err != nil && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: %v is not ErrUnsupported", name, err)
			}
		}
	}
	if err := respwriter.CanFlush(wrapping{bare{}}); !strings.Contains(err.Error(),
		"respwriter_test.bare") {
		t.Errorf("%v does not name the writer in the way", err)
	}
}

// broken has a connection that cannot be taken over any more.
type broken struct{ http.ResponseWriter }

var errBroken = errors.New("broken")

func (broken) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errBroken }

func TestWriter_AHijackThatFailsIsNone(t *testing.T) {
	w := respwriter.New(broken{httptest.NewRecorder()}, nil)
	if _, _, err := w.Hijack(); !errors.Is(err, errBroken) || w.Hijacked() || w.Committed() {
		t.Errorf("%v, hijacked %v, committed %v", err, w.Hijacked(), w.Committed())
	}
}

// Bytes counts what comes in each of the three ways.
func TestWriter_CountsBytesHoweverTheyCome(t *testing.T) {
	w := respwriter.New(httptest.NewRecorder(), nil)
	_, err := w.Write([]byte("1"))
	_, err2 := w.WriteString("22")
	_, err3 := w.ReadFrom(strings.NewReader("4444"))
	if err := errors.Join(err, err2, err3); err != nil || w.Bytes() != 7 {
		t.Errorf("%d bytes, %v, want 7", w.Bytes(), err)
	}
}
