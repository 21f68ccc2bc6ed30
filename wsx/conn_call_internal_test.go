package wsx

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/wsx/internal/wire"
)

type statusError int

func (e statusError) Error() string   { return "canary-7f3a" }
func (e statusError) StatusCode() int { return int(e) }

func TestPeerError_TellsOnlyWhatACodedErrorSays(t *testing.T) {
	coded := &Error{Code: "OUT_OF_STOCK", Message: "none left", Err: errors.New("canary-7f3a")}
	expired, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	for _, tc := range []struct {
		name       string
		err        error
		code, text string
	}{
		{"coded", coded, "OUT_OF_STOCK", "none left"},
		{"coded and wrapped", fmt.Errorf("canary-7f3a: %w", coded), "OUT_OF_STOCK", "none left"},
		{
			"coded without text", &Error{Code: CodeNotFound, Err: errors.New("canary-7f3a")},
			CodeNotFound, "not found",
		},
		{
			"coded and joined", errors.Join(errors.New("canary-7f3a"), coded), "OUT_OF_STOCK",
			"none left",
		},
		{"without a code", &Error{Message: "canary-7f3a"}, CodeInternalError, "internal error"},
		{
			"deadline", fmt.Errorf("canary-7f3a: %w", expired.Err()), CodeDeadlineExceeded,
			"deadline exceeded",
		},
		{"cancelled", fmt.Errorf("canary-7f3a: %w", context.Canceled), CodeCancelled, "cancelled"},
		{"status 404", fmt.Errorf("canary-7f3a: %w", statusError(404)), CodeNotFound, "not found"},
		{"status 418", statusError(418), CodeInvalidRequest, "invalid request"},
		{"status 500", statusError(500), CodeInternalError, "internal error"},
		{"status 200", statusError(200), CodeInternalError, "internal error"},
		{"plain", errors.New("canary-7f3a"), CodeInternalError, "internal error"},
		{"panic", &panicError{value: coded}, CodeInternalError, "internal error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := peerError(tc.err, false)
			if e.Code != tc.code || e.text() != tc.text {
				t.Errorf("%s %q, want %s %q", e.Code, e.text(), tc.code, tc.text)
			}
			if !errors.Is(e, tc.err) && !errors.Is(tc.err, e) {
				t.Error("the error is lost for the log")
			}
			debug := peerError(tc.err, true)
			if want := tc.code == CodeInternalError; (debug.text() == tc.err.Error()) != want ||
				debug.Code != tc.code {
				t.Errorf("in debug: %s %q", debug.Code, debug.text())
			}
		})
	}
}

type panicsWhenEncoded struct{}

func (panicsWhenEncoded) MarshalJSON() ([]byte, error) { panic("canary-7f3a") }

func TestAppendError_KeepsAnErrorWhoseDetailsCannotBeEncoded(t *testing.T) {
	for _, tc := range []struct {
		details any
		want    string
		fails   bool
	}{
		{nil, ``, false},
		{map[string]int{"n": 1}, `{"n":1}`, false},
		{func() {}, ``, true},
		{panicsWhenEncoded{}, ``, true},
	} {
		b, err := appendError(wire.WSX, []byte("before"), []byte("7"),
			&Error{Code: CodeConflict, Message: "no", Details: tc.details})
		var m wire.Message
		if f := m.Parse(b[len("before"):], wire.Rules{FromServer: true}); f != wire.OK {
			t.Fatalf("%T: %s: %s", tc.details, f.Text(), b)
		}
		if string(m.ID) != "7" || string(m.ErrorCode) != CodeConflict ||
			string(m.ErrorText) != "no" ||
			string(m.ErrorDetails) != tc.want || (err != nil) != tc.fails {
			t.Errorf("%T: %s, %v", tc.details, b, err)
		}
	}
}

func TestMethod_CallAppendsItsResultOrNothing(t *testing.T) {
	d := NewDispatcher()
	Handle(d, "add", benchAdd)
	HandleNotify(d, "log", func(context.Context, string) error { return nil })
	Handle(d, "big",
		func(context.Context, struct{}) ([]any, error) {
			return []any{make([]int, 1<<15), func() {}}, nil
		})
	Handle(d, "panic", func(context.Context, struct{}) (int, error) { panic("canary-7f3a") })
	for _, tc := range []struct {
		method, params string
		notify         bool
		want           string
		fails          bool
	}{
		{"add", `{"a":2,"b":40}`, false, `{"sum":42}`, false},
		{"add", `{"a":2,"b":40}`, true, ``, false},
		{"add", `{"c":2}`, false, ``, true},
		{"log", `"x"`, true, ``, false},
		{"log", `"x"`, false, `null`, false},
		{"big", `{}`, false, ``, true},
		{"panic", `{}`, false, ``, true},
	} {
		r := &Request{
			Params: []byte(tc.params), Notify: tc.notify,
			result: appender{b: []byte("before")},
		}
		err := d.lookup([]byte(tc.method)).call(t.Context(), r)
		if string(r.result.b) != "before"+tc.want || (err != nil) != tc.fails {
			t.Errorf("%s %s: %q, %v", tc.method, tc.params, r.result.b, err)
		}
		if p, ok := errors.AsType[*panicError](err); ok && len(p.stack) == 0 {
			t.Error("a panic without its stack")
		}
	}
	if d.lookup([]byte("none")) != nil {
		t.Error("found a method that nobody registered")
	}
}

type benchParams struct {
	A int `json:"a"`
	B int `json:"b"`
}

type benchResult struct {
	Sum int `json:"sum"`
}

func benchAdd(_ context.Context, in benchParams) (benchResult, error) {
	return benchResult{in.A + in.B}, nil
}
