package problem_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/problem"
)

func TestWrite_Rules(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	caused, cancelCause := context.WithCancelCause(t.Context())
	cancelCause(statusError(503))
	private := errors.New("password")
	for name, c := range map[string]struct {
		ctx    context.Context
		err    error
		status int
		log    string
	}{
		"a status": {t.Context(), statusError(418), 418, ""},
		"a wrapped status": {
			t.Context(), fmt.Errorf("password: %w", statusError(429)), 429,
			"",
		},
		"a status of success":  {t.Context(), statusError(204), 500, "level=ERROR"},
		"a problem of success": {t.Context(), &problem.Error{Status: 200}, 500, "level=ERROR"},
		"a wrapped problem": {
			t.Context(), fmt.Errorf("password: %w", problem.Conflict("")),
			409, "",
		},
		"too large": {
			t.Context(),
			fmt.Errorf("password: %w", &http.MaxBytesError{Limit: 3}), 413, "",
		},
		"cancelled elsewhere":   {t.Context(), context.Canceled, 500, "level=ERROR"},
		"private":               {t.Context(), private, 500, "level=ERROR"},
		"nil":                   {t.Context(), nil, 500, "level=ERROR"},
		"deadline":              {t.Context(), context.DeadlineExceeded, 504, "level=ERROR"},
		"a client that is gone": {gone, private, 499, "level=INFO"},
		"and cancelled":         {gone, context.Canceled, 499, "level=INFO"},
		"a slow client":         {gone, os.ErrDeadlineExceeded, 408, ""},
		"the server's stop":     {caused, context.Canceled, 503, "level=ERROR"},
		"a failure meanwhile":   {caused, private, 500, "level=ERROR"},
	} {
		var log bytes.Buffer
		ctx := problem.WithOptions(c.ctx,
			&problem.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		w := httptest.NewRecorder()
		problem.Write(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil), c.err)
		if w.Code != c.status || strings.Contains(w.Body.String(), "password") {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
		if lines := strings.Count(log.String(), "\n"); (c.log != "") != (lines == 1) ||
			!strings.Contains(log.String(), c.log) {
			t.Errorf("%s: the log has %q", name, &log)
		}
		if c.err == nil && !strings.Contains(log.String(), "without an error") {
			t.Errorf("%s: the log has %q", name, &log)
		}
		if text := "error=password"; (c.err == private) != strings.Contains(log.String(), text) {
			t.Errorf("%s: the log has %q", name, &log)
		}
		if wait := w.Header().Get("Retry-After"); wait != "" {
			t.Errorf("%s: Retry-After %s, which nobody said", name, wait)
		}
	}
}

// Who comes back when Retry-After says so comes no earlier than asked to: seconds are whole, and
// rounded up.
func TestWrite_RetryAfterIsRoundedUp(t *testing.T) {
	for after, want := range map[time.Duration]string{
		-time.Second: "", 0: "", 1: "1", time.Second - 1: "1", time.Second: "1",
		time.Second + 1: "2", 2 * time.Second: "2", time.Hour + time.Millisecond: "3601",
	} {
		w := httptest.NewRecorder()
		problem.Write(w, httptest.NewRequest(http.MethodGet, "/", nil),
			problem.TooManyRequests(after, ""))
		if got := w.Header().Get("Retry-After"); got != want {
			t.Errorf("%v: %q, want %q", after, got, want)
		}
	}
}

// The id of a failure is the same in the answer and in the log, also where the request has none: by
// it the one is found from the other.
func TestWrite_NamesTheFailureInTheLog(t *testing.T) {
	for _, id := range []string{"", "r-1"} {
		var log bytes.Buffer
		ctx := problem.WithOptions(t.Context(),
			&problem.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		r.Header.Set("X-Request-Id", id)
		w := httptest.NewRecorder()
		problem.Write(w, r, errors.New("broken"))
		var answer struct {
			ID string `json:"request_id"`
		}
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.ID == "" ||
			id != "" && answer.ID != id {
			t.Errorf("the id %q is answered as %s, %v", id, w.Body, err)
		}
		if !strings.Contains(log.String(), "request_id="+answer.ID) {
			t.Errorf("the log has %q, the answer %s", &log, w.Body)
		}
	}
}

func TestWrite_FollowsTheOptions(t *testing.T) {
	mapped := errors.New("mapped")
	ctx := problem.WithOptions(t.Context(), &problem.Options{
		Debug:  true,
		Logger: slog.New(slog.DiscardHandler),
		Map: func(_ *http.Request, err error) *problem.Error {
			if errors.Is(err, mapped) {
				return &problem.Error{Status: 402, Header: http.Header{"x-own": {"1"}}}
			}
			return nil
		},
	})
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	r.Header.Set("X-Request-Id", "r-1")
	w := httptest.NewRecorder()
	problem.Write(w, r, mapped)
	if got, want := w.Body.String(),
		`{"title":"Payment Required","status":402,"debug":"mapped","request_id":"r-1"}`; got !=
		want || w.Header().Get("X-Own") != "1" {
		t.Errorf("%s, want %s; headers %v", got, want, w.Header())
	}
	w = httptest.NewRecorder()
	problem.Write(w, r, errors.New("another"))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("%d", w.Code)
	}
	if problem.LoggerFrom(t.Context()) != slog.Default() ||
		problem.LoggerFrom(ctx) == slog.Default() {
		t.Error("the logger is not that of the options")
	}
}

// detailed has more for the log than its text.
type detailed struct{ text string }

func (e detailed) Error() string { return e.text }
func (e detailed) LogValue() slog.Value {
	return slog.GroupValue(slog.String("message", e.text), slog.String("stack", "frames"))
}

func TestWrite_LogsWhatAnErrorSaysToTheLog(t *testing.T) {
	for want, err := range map[string]error{
		"error=plain": errors.New("plain"),
		"error.message=inner " +
			"error.stack=frames": detailed{"inner"},
		`error.message="outer: inner" error.cause.message=inner ` +
			`error.cause.stack=frames`: fmt.Errorf("outer: %w", detailed{"inner"}),
		`error.message="500 Internal Server Error: inner" error.cause.message=inner ` +
			`error.cause.stack=frames`: &problem.Error{Err: detailed{"inner"}},
	} {
		var log bytes.Buffer
		ctx := problem.WithOptions(t.Context(),
			&problem.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		w := httptest.NewRecorder()
		problem.Write(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil), err)
		if !strings.Contains(log.String(), want+" ") || strings.Contains(w.Body.String(), "inner") {
			t.Errorf("no %q in %s; the client has %s", want, &log, w.Body)
		}
	}
}

func TestAnswer_IsWhatWriteWouldSend(t *testing.T) {
	var log bytes.Buffer
	ctx := problem.WithOptions(t.Context(),
		&problem.Options{Debug: true, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	own := &problem.Error{Status: 503, Extensions: map[string]any{"a": 1}}
	got := problem.Answer(http.Header{"X-Request-Id": {"r-1"}}, r, own)
	if want := `{"title":"Service Unavailable","status":503,"a":1,"debug":"503 Service ` +
		`Unavailable","request_id":"r-1"}`; string(got.Encode()) != want {
		t.Errorf("%s, want %s", got.Encode(), want)
	}
	if strings.Count(log.String(), "request_id=r-1") != 1 || len(own.Extensions) != 1 {
		t.Errorf("the log has %s, the error %v", &log, own)
	}
}

// committed is the writer of a response whose header is sent, behind a writer that wraps it.
type committed struct{ http.ResponseWriter }

func (committed) Committed() bool { return true }

type wrapping struct{ http.ResponseWriter }

func (w wrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func TestWrite_CutsWhatCannotBeAnswered(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for name, write := range map[string]func(){
		"aborted": func() { problem.Write(httptest.NewRecorder(), r, http.ErrAbortHandler) },
		"committed": func() {
			problem.Write(wrapping{committed{httptest.NewRecorder()}}, r, problem.NotFound(""))
		},
	} {
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("%s: %v", name, v)
				}
			}()
			write()
		}()
	}
}

func TestError_Constructors(t *testing.T) {
	for status, e := range map[int]*problem.Error{
		400: problem.BadRequest("d"), 401: problem.Unauthorized("d"), 403: problem.Forbidden("d"),
		409: problem.Conflict("d"), 503: problem.Unavailable(0, "d"),
	} {
		if e.StatusCode() != status || e.Detail != "d" {
			t.Errorf("%d: %v", status, e)
		}
	}
	if (problem.Field{}).StatusCode() != 422 || (&problem.Error{Status: 200}).StatusCode() != 500 {
		t.Error("another status")
	}
}

func TestWrite_SendsAllButTheCause(t *testing.T) {
	err := fmt.Errorf("x: %w", &problem.Error{
		Status: 503, Type: "/busy", Title: "Busy", Detail: "Try later.", Instance: "/x/1",
		Code: "BUSY", RetryAfter: 1500 * time.Millisecond,
		Fields:     []problem.Field{{Pointer: "/n", Detail: "is odd"}},
		Extensions: map[string]any{"queue": 9, "status": 200}, Header: http.Header{"x-own": {"3"}},
		Err: errors.New("password"),
	})
	w := httptest.NewRecorder()
	w.Header().Set("X-Request-Id", "1")
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	problem.Write(w,
		r.WithContext(problem.WithOptions(r.Context(),
			&problem.Options{Logger: slog.New(slog.DiscardHandler)})), err)
	want := `{"type":"/busy","title":"Busy","status":503,"detail":"Try ` +
		`later.","instance":"/x/1","code":"BUSY","retry_after":1.5,` +
		`"errors":[{"in":"body","pointer":"/n","detail":"is odd"}],"queue":9,"request_id":"1"}`
	if got := w.Body.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if h := w.Header(); h.Get("X-Own") != "3" || h.Get("Retry-After") != "2" {
		t.Errorf("%v", h)
	}
}

func TestWrite_LogsServerErrorsWithTheRequestsID(t *testing.T) {
	var log bytes.Buffer
	ctx := problem.WithOptions(t.Context(),
		&problem.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/x%0Alevel=forged", nil)
	for sent, want := range map[string]string{"abc-1": "abc-1", "": ""} {
		log.Reset()
		r.Header.Set("X-Request-Id", sent)
		w := httptest.NewRecorder()
		problem.Write(w, r, errors.New("password"))
		var got problem.Error
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		id, _ := got.Extensions["request_id"].(string)
		if id == "" || want != "" && id != want {
			t.Errorf("%s", w.Body)
		}
		for _, want := range []string{
			"level=ERROR", "status=500", "method=GET", "request_id=" + id,
			"password",
		} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("no %q in %s", want, &log)
			}
		}
		if strings.Count(log.String(), "\n") != 1 {
			t.Errorf("a path forged a line: %s", &log)
		}
	}
}

func TestWrite_RequestID(t *testing.T) {
	for name, c := range map[string]struct{ request, response, want string }{
		"of the request":    {"a-1", "", "a-1"},
		"of the response":   {"a-1", "b-2", "b-2"},
		"too long":          {strings.Repeat("a", 65), "", ""},
		"as long as it may": {strings.Repeat("a", 64), "", strings.Repeat("a", 64)},
		"with other bytes":  {"a b", "", ""},
		"none":              {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
			r.Header.Set("X-Request-Id", c.request)
			w.Header().Set("X-Request-Id", c.response)
			problem.Write(w, r, problem.NotFound(""))
			var got problem.Error
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if id, _ := got.Extensions["request_id"].(string); id != c.want {
				t.Errorf("got %q, want %q", id, c.want)
			}
		})
	}
}
