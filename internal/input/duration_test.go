package input_test

import (
	"errors"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/input"
)

func TestDuration_IsAText(t *testing.T) {
	read, write := json.WithUnmarshalers(input.ReadDuration()),
		json.WithMarshalers(input.WriteDuration())
	for text, want := range map[string]time.Duration{
		`"1m30s"`: 90 * time.Second,
		`"-1.5h"`: -90 * time.Minute, `"0"`: 0, `null`: 0,
	} {
		got := time.Hour
		if err := json.Unmarshal([]byte(text), &got, read); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
		back, err := json.Marshal(map[string]*time.Duration{"d": &want}, write)
		if err != nil || string(back) != `{"d":"`+want.String()+`"}` {
			t.Errorf("%v: %s, %v", want, back, err)
		}
	}
	for _, text := range []string{`90`, `"90"`, `"soon"`, `{}`, `[]`, `true`} {
		var got time.Duration
		if err := json.Unmarshal([]byte(text), &got, read); !errors.Is(err, input.ErrDuration) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
