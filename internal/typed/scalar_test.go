package typed_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/internal/typed"
)

// A parameter's text becomes a value of the field's type, or is refused in words that quote nothing
// of it.
func TestSetter(t *testing.T) {
	two, red := 2, color("red")
	for _, c := range []struct {
		text   string
		want   any    // of the type
		detail string // "" where the text is one of its values
	}{
		{"-128", int8(-128), ""},
		{"127", int8(127), ""},
		{"128", int8(0), "is out of range"},
		{"1.5", 0, "must be an integer"},
		{"", 0, "must be an integer"},
		{"0x10", 0, "must be an integer"},
		{"1_000", 0, "must be an integer"},
		{"9223372036854775807", int64(1<<63 - 1), ""},
		{"255", uint8(255), ""},
		{"256", uint8(0), "is out of range"},
		{"-1", uint(0), "must be an integer, 0 or more"},
		{"2.5", 2.5, ""},
		{"1e39", float32(0), "is out of range"},
		{"1e39", 1e39, ""},
		{"NaN", 0.0, "must be a finite number"},
		{"Inf", 0.0, "must be a finite number"},
		{"-inf", 0.0, "must be a finite number"},
		{"x", 0.0, "must be a finite number"},
		{"true", true, ""},
		{"on", true, ""},
		{"1", true, ""},
		{"off", false, ""},
		{"0", false, ""},
		{"yes", false, "must be true or false"},
		{"", false, "must be true or false"},
		{"ä", "ä", ""},
		{"", "", ""},
		{"\xff", "", "must be text in UTF-8"},
		{"1m30s", 90 * time.Second, ""},
		{"90", time.Duration(0), "must be a duration such as 1m30s"},
		{"2026-01-02T03:04:05Z", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), ""},
		{"2026-01-02", time.Time{}, "must be a time such as 2006-01-02T15:04:05Z (RFC 3339)"},
		// package time takes it
		{
			"2026-01-02T03:04:05,5Z",
			time.Time{},
			"must be a time such as 2006-01-02T15:04:05Z (RFC 3339)",
		},
		{"::1", netip.MustParseAddr("::1"), ""},
		{"here", netip.Addr{}, "has a wrong format"},
		{"\xff", netip.Addr{}, "must be text in UTF-8"},
		{"red", color("red"), ""},
		{"green", color(""), `must be one of "red", "blue"`},
		{"2", grade(2), ""},
		{"3", grade(0), "must be one of 1, 2"},
		{"x", grade(0), "must be an integer"},
		{"2", &two, ""},
		{"x", &two, "must be an integer"},
		{"red", &red, ""},
		{"green", &red, `must be one of "red", "blue"`},
	} {
		v := reflect.New(reflect.TypeOf(c.want)).Elem()
		detail := typed.NewSetter(v.Type())(v, c.text)
		if detail != c.detail || detail == "" && !reflect.DeepEqual(v.Interface(), c.want) {
			t.Errorf("%q as %T: %#v, %q, want %#v, %q", c.text, c.want, v.Interface(), detail,
				c.want, c.detail)
		}
	}
	for _, none := range []any{
		[]int{},
		map[string]int{},
		struct{}{},
		make(chan int), func() {}, 1i,
		new([]int),
	} {
		if typed.NewSetter(reflect.TypeOf(none)) != nil {
			t.Errorf("a %T has a setter", none)
		}
	}
}

// A default that the tag gives is a value of the field's type.
func TestDefault(t *testing.T) {
	of := reflect.TypeFor[struct {
		N     int8          `default:"-3"`
		Wait  time.Duration `default:"5s"`
		Empty string        `default:""`
		None  int
		List  []int `default:"1"`
	}]()
	var got []string
	for f := range of.Fields() {
		if v := typed.Default(&f); v.IsValid() {
			got = append(got, fmt.Sprintf("%s %v %v", f.Name, v.Type(), v))
		}
	}
	if want := []string{
		"N int8 -3", "Wait time.Duration 5s",
		"Empty string ",
	}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// An empty text is a value of what is text by its kind; elsewhere it is a value left out.
func TestIsText(t *testing.T) {
	for v, want := range map[any]bool{
		"": true, color(""): true, new(string): true, 0: false,
		false: false, netip.Addr{}: false, written(""): false, new(written): false,
	} {
		if got := typed.IsText(reflect.TypeOf(v)); got != want {
			t.Errorf("%T: %v", v, got)
		}
	}
}

// written is a string that reads its text itself.
type written string

func (w *written) UnmarshalText(b []byte) error { *w = written(b); return nil }

func TestPointer(t *testing.T) {
	for want, names := range map[string][]string{
		"": nil, "/a": {"a"},
		"/a~1b/c~0d/": {"a/b", "c~d", ""},
	} {
		if got := typed.Pointer(names...); got != want {
			t.Errorf("%q: %q, want %q", names, got, want)
		}
	}
}
