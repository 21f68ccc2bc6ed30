package tasks_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
	"github.com/genropy/genro-asgi-go/tasks"
	"github.com/genropy/genro-asgi-go/tasks/memstore"
)

type export struct {
	Format string        `json:"format" default:"csv"`
	Every  time.Duration `json:"every,omitzero" default:"1m"`
	Big    any           `json:"big"`
}

// Who submits JSON gets the defaults of the time when it is submitted; who submits a value has said
// all of it.
func TestSubmit_Defaults(t *testing.T) {
	m := tasks.New(memstore.New(), &tasks.Options{Logger: quiet})
	seen := make(chan export, 1)
	k := tasks.Register(m, "export", 1,
		func(_ context.Context, in export) (time.Duration, error) {
			seen <- in
			return in.Every, nil
		}, nil)
	start(t, m)
	for _, tc := range []struct {
		payload string
		want    export
	}{
		{"", export{Format: "csv", Every: time.Minute}},
		{"null", export{Format: "csv", Every: time.Minute}},
		{`{"format":"","every":"0s","big":9007199254740993}`, export{Big: int64(9007199254740993)}},
		{`{"every":"2h"}`, export{Format: "csv", Every: 2 * time.Hour}},
	} {
		task, err := m.Submit(t.Context(), "export", jsontext.Value(tc.payload), nil)
		if err != nil {
			t.Fatalf("%s: %v", tc.payload, err)
		}
		if got := <-seen; got != tc.want {
			t.Errorf("%s: %+v, want %+v", tc.payload, got, tc.want)
		}
		if took, err := k.Result(t.Context(), task.ID); err != nil || took != tc.want.Every {
			t.Errorf("%s: %v, %v", tc.payload, took, err)
		}
	}
	if _, err := k.Submit(t.Context(), export{}, nil); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != (export{}) {
		t.Errorf("a value: %+v", got)
	}
}

func TestSubmit_DefaultsCountAsPayload(t *testing.T) {
	m := tasks.New(memstore.New(), &tasks.Options{Logger: quiet, MaxPayload: 20})
	tasks.Register(m, "export", 1, func(context.Context, export) (int, error) { return 0, nil },
		nil)
	if _, err := m.Submit(t.Context(), "export", jsontext.Value("{}"), nil); !errors.Is(err,
		tasks.ErrTooLarge) {
		t.Error(err)
	}
}

// Every way to submit asks the validator.
func TestOptions_Validator(t *testing.T) {
	refused := problem.Field{Pointer: "/format", Detail: "is not one of ours"}
	refuse := func(v any) error {
		if in, ok := v.(*export); !ok || in.Format == "xls" {
			return refused
		}
		return nil
	}
	bad := export{Format: "xls"}
	for name, ctx := range map[string]context.Context{
		"Options": t.Context(),
		"context": typed.WithValidator(t.Context(), refuse),
	} {
		opts := &tasks.Options{Logger: quiet}
		if name == "Options" {
			opts.Validator = refuse
		}
		m := tasks.New(memstore.New(), opts)
		k := tasks.Register(m, "export", 1,
			func(context.Context, export) (int, error) { return 0, nil }, nil)
		tasks.Register(m, "number", 1, func(context.Context, int) (int, error) { return 0, nil },
			nil)
		ways := map[string]func() error{
			"Kind.Submit": func() error { _, err := k.Submit(ctx, bad, nil); return err },
			"Submit": func() error {
				_, err := tasks.Submit(ctx, m, "export", &bad, nil)
				return err
			},
			"Manager.Submit": func() error {
				_, err := m.Submit(ctx, "export", jsontext.Value(`{"format":"xls"}`), nil)
				return err
			},
			"SubmitMany": func() error {
				_, err := m.SubmitMany(ctx,
					[]tasks.Submission{
						{Kind: "export", Payload: jsontext.Value(`{"format":"xls"}`)},
					})
				return err
			},
		}
		if name == "Options" { // these have no context
			daily := tasks.Schedule{Name: "daily", Cron: "0 0 * * *"}
			ways["Schedule"] = func() error {
				return m.Schedule("export", jsontext.Value(`{"format":"xls"}`), daily)
			}
			ways["Kind.Schedule"] = func() error { return k.Schedule(bad, daily) }
			ways["Submission"] = func() error { _, err := k.Submission(bad, nil); return err }
		}
		for way, submit := range ways {
			if err := submit(); !errors.Is(err, tasks.ErrInvalid) || !errors.Is(err, refused) {
				t.Errorf("%s, %s: %v", name, way, err)
			}
		}
		if _, err := m.Submit(ctx, "number", jsontext.Value("1"), nil); err != nil {
			t.Error(err)
		}
		if _, err := k.Submit(ctx, export{Format: "csv"}, nil); err != nil {
			t.Error(err)
		}
	}
}
