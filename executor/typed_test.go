package executor_test

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/executor"
	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
)

type pace struct {
	Every time.Duration `json:"every" default:"1m"`
	Mode  mode          `json:"mode" default:"slow"`
	Big   any           `json:"big"`
}

type mode string

func (mode) Enum() []mode { return []mode{"slow", "fast"} }

var paced = executor.NewFunc("paced",
	func(_ context.Context, in pace) (pace, error) { return in, nil })

func TestFunc_DurationsAndDefaults(t *testing.T) {
	ex := start(t, nil)
	// a Go caller has said all of it
	in := pace{Every: 90 * time.Second, Big: int64(9007199254740993)}
	if out, err := paced.Run(t.Context(), ex, in); err != nil || out != in {
		t.Errorf("%+v, %v", out, err)
	}
	echo := func(_ context.Context, in pace) (pace, error) { return in, nil }
	for name, h := range map[string]http.Handler{
		"Handler":         executor.Handler(ex, paced, nil),
		"BlockingHandler": executor.BlockingHandler(ex, echo, nil),
	} {
		for body, want := range map[string]string{
			`{}`:               `{"every":"1m0s","mode":"slow","big":null}`,
			`{"every":"1.5h"}`: `{"every":"1h30m0s","mode":"slow","big":null}`,
			`{"every":90}`:     `"pointer":"/every","detail":"must be a duration such as 1m30s"`,
			`{"mode":"off"}`:   `"pointer":"/mode","detail":"must be one of \"slow\", \"fast\""`,
		} {
			if w := post(h, asJSON, body); !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s, %s: %d %s, want %s", name, body, w.Code, w.Body, want)
			}
		}
	}
}

func TestOptions_Validator(t *testing.T) {
	refused := problem.Field{Pointer: "/every", Detail: "must be a minute"}
	refuse := func(v any) error {
		if in, ok := v.(*pace); !ok || in.Every != time.Minute {
			return refused
		}
		return nil
	}
	for name, tc := range map[string]struct {
		ctx  context.Context
		opts *executor.Options
	}{
		"Options": {t.Context(), &executor.Options{Validator: refuse}},
		"context": {typed.WithValidator(t.Context(), refuse), nil},
	} {
		ex := start(t, tc.opts)
		_, err := paced.Run(tc.ctx, ex, pace{Mode: "fast"})
		if _, ok := errors.AsType[*executor.InputError](err); !ok || !errors.Is(err, refused) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := paced.Run(tc.ctx, ex, pace{Mode: "fast", Every: time.Minute}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNewFunc_JudgesItsTypes(t *testing.T) {
	type sum interface{ isSum() }
	ex := start(t, nil)
	for want, register := range map[string]func(){
		"the input: chan int: JSON cannot hold chan int": func() {
			executor.NewFunc("in", func(context.Context, chan int) (int, error) { return 0, nil })
		},
		"the input: io.Reader": func() {
			executor.NewFunc("in", func(context.Context, io.Reader) (int, error) { return 0, nil })
		},
		"the result: executor_test.sum": func() {
			executor.NewFunc("out", func(context.Context, int) (sum, error) { return nil, nil })
		},
		"BlockingHandler: the input: func()": func() {
			executor.BlockingHandler(ex,
				func(context.Context, func()) (int, error) { return 0, nil }, nil)
		},
		"BlockingHandler: the result: []error": func() {
			executor.BlockingHandler(ex,
				func(context.Context, int) ([]error, error) { return nil, nil }, nil)
		},
	} {
		func() {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, want) {
					t.Errorf("%q, want %q", text, want)
				}
			}()
			register()
		}()
	}
}

func TestPoolStats_AreJSON(t *testing.T) {
	all := executor.Stats{
		Process:  executor.PoolStats{Done: 3, WaitP99: 1500 * time.Microsecond},
		Blocking: map[string]executor.PoolStats{"": {}},
	}
	const want = `"done":3,"failed":0,"killed":0,"abandoned":0,"rejected":0,"workers":0,` +
		`"restarts":0,"wait_p50":"0s","wait_p99":"1.5ms","run_p50":"0s","run_p99":"0s"}`
	for name, encode := range map[string]func(any) ([]byte, error){
		"json/v2":       func(v any) ([]byte, error) { return json.Marshal(v) },
		"encoding/json": stdjson.Marshal,
	} {
		b, err := encode(all)
		if err != nil || !strings.Contains(string(b), want) {
			t.Errorf("%s: %s, %v", name, b, err)
		}
		var back executor.Stats
		if err := json.Unmarshal(b, &back); err != nil || back.Process != all.Process {
			t.Errorf("%s: %+v, %v", name, back, err)
		}
	}
}
