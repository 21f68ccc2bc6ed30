package schema_test

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genropy/genro-asgi-go/internal/schema"
)

type chained struct {
	Next *chained `json:"next"`
	Done chan int `json:"done"`
}

type byHand struct{ Took time.Duration }

func (byHand) MarshalText() ([]byte, error) { return []byte("1s"), nil }
func (*byHand) UnmarshalText([]byte) error  { return nil }

type uintptrs []unsafe.Pointer

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		of   reflect.Type
		want string // "" is none
	}{
		{reflect.TypeFor[basics](), ""},
		{reflect.TypeFor[tree](), ""},
		{reflect.TypeFor[list](), ""},
		{reflect.TypeFor[any](), ""},
		{reflect.TypeFor[jsontext.Value](), ""},
		{reflect.TypeFor[struct{}](), ""},
		{reflect.TypeFor[byHand](), ""},
		{reflect.TypeFor[struct {
			C func() `json:"-"`
			N int
		}](), ""},
		{reflect.TypeFor[map[time.Duration]*time.Duration](), ""},
		{reflect.TypeFor[complex128](), "JSON cannot hold complex128"},
		{reflect.TypeFor[*chan int](), "JSON cannot hold chan int"},
		{reflect.TypeFor[struct{ A, B *[]***func() }](), "JSON cannot hold func() at /A/*"},
		{reflect.TypeFor[chained](), "JSON cannot hold chan int at /done"},
		{reflect.TypeFor[[]map[string][]func()](), "JSON cannot hold func() at /*/*/*"},
		{reflect.TypeFor[struct {
			A struct {
				Wait uintptrs `json:"wait,omitzero"`
			} `json:"a"`
		}](), "JSON cannot hold unsafe.Pointer at /a/wait/*"},
		{reflect.TypeFor[map[[2]int]string](), "JSON cannot hold such names at /*"},
	} {
		for _, dir := range []schema.Direction{schema.Decode, schema.Encode} {
			got := ""
			if err := schema.Check(c.of, dir); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("%v, direction %d: %q, want %q", c.of, dir, got, c.want)
			}
		}
	}
}

// What an interface holds is decoded only where it may be anything, and encoded unless JSON would
// have an empty object of it.
func TestCheck_Interfaces(t *testing.T) {
	type sum interface{ isSum() }
	for _, c := range []struct {
		of       reflect.Type
		in, good bool
	}{
		{reflect.TypeFor[any](), true, true},
		{reflect.TypeFor[sum](), false, true},
		{reflect.TypeFor[fmt.Stringer](), false, true},
		{reflect.TypeFor[error](), false, false},
		{reflect.TypeFor[io.Reader](), false, false},
		{reflect.TypeFor[io.ReadWriteCloser](), false, false},
		{reflect.TypeFor[http.ResponseWriter](), false, false},
	} {
		holder := reflect.SliceOf(c.of)
		if err := schema.Check(holder, schema.Decode); (err == nil) != c.in {
			t.Errorf("%v as an input: %v", c.of, err)
		}
		if err := schema.Check(holder, schema.Encode); (err == nil) != c.good {
			t.Errorf("%v as an output: %v", c.of, err)
		}
	}
}
