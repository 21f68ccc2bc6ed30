package typed_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
)

// What another process is to read has to be readable, and not only to be written.
func TestCheckReadable(t *testing.T) {
	for of, want := range map[reflect.Type]string{
		reflect.TypeFor[settings](): "", reflect.TypeFor[any](): "",
		reflect.TypeFor[struct {
			S fmt.Stringer
		}](): "struct { S fmt.Stringer }: JSON cannot hold fmt.Stringer at /S",
	} {
		got := ""
		if err := typed.CheckReadable(of); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%v: %q, want %q", of, got, want)
		}
	}
}

// A decoding by the type of the target alone is as strict as one by a strict Input, but for
// defaults.
func TestDecode(t *testing.T) {
	type target struct {
		Wait  time.Duration `json:"wait"`
		Color color         `json:"color"`
		Any   any           `json:"any"`
		N     int           `json:"n" default:"3"`
	}
	for text, want := range map[string]string{
		`{"wait":"1s","color":"red","any":9007199254740993}`: "",
		`{"wait":1}`:        "/wait must be a duration such as 1m30s",
		`{"color":"green"}`: `/color must be one of "red", "blue"`,
		`{"more":1}`:        "/more is not known here", `{"n":1,"n":2}`: "/n must be given once",
	} {
		var v target
		err := typed.Decode([]byte(text), &v)
		got := ""
		if e := problem.Of(err); e != nil {
			got = e.Fields[0].Pointer + " " + e.Fields[0].Detail
		}
		if got != want || err == nil &&
			v != (target{time.Second, "red", int64(9007199254740993), 0}) {
			t.Errorf("%s: %+v, %v, want %q", text, v, err, want)
		}
		again := target{}
		if want == "" || strings.Contains(text, "green") || strings.Contains(text, "more") {
			// which a store or a peer may have
			if err := typed.Unmarshal([]byte(text), &again); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}

func TestMarshal_Durations(t *testing.T) {
	for want, v := range map[string]any{
		`"1m30s"`: 90 * time.Second, `{"a":"0s"}`: map[string]any{"a": time.Duration(0)},
		`["2h0m0s",null]`:            []*time.Duration{new(2 * time.Hour), nil},
		`{"limit":1,"every":"-1ns"}`: &inner{1, -1}, `null`: nil, `7`: 7,
	} {
		got, err := typed.Marshal(v)
		if err != nil || string(got) != want {
			t.Errorf("%v: %s, %v, want %s", v, got, err, want)
		}
		var b strings.Builder
		if err := typed.MarshalWrite(&b, v); err != nil || b.String() != want {
			t.Errorf("%v: %s, %v, want %s", v, b.String(), err, want)
		}
		out := &typed.Output{}
		if v != nil {
			if out, err = typed.NewOutput(reflect.TypeOf(v)); err != nil {
				t.Fatal(err)
			}
		}
		b.Reset()
		if err := out.Write(&b, v); err != nil || b.String() != want {
			t.Errorf("%v: %s, %v, want %s", v, b.String(), err, want)
		}
	}
	var back inner
	if err := typed.Unmarshal([]byte(`{"every":"3s","more":1}`), &back); err != nil ||
		back.Every != 3*time.Second {
		t.Error(back, err)
	}
	if err := typed.Unmarshal([]byte(`{"more":1}`), &back, json.RejectUnknownMembers(true)); err ==
		nil {
		t.Error("options are not heard")
	}
	if err := typed.Decode([]byte(`{"more":1}`), &back); problem.Of(err) == nil {
		t.Error(err)
	}
}
