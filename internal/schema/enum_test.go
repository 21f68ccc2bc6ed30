package schema_test

import (
	"reflect"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/schema"
)

type (
	status string
	grade  int
	other  string   // whose Enum gives another type
	args   string   // whose Enum wants something
	lists  []string // whose values cannot be compared
)

func (status) Enum() []status  { return []status{"open", "sent"} }
func (*grade) Enum() []grade   { return []grade{1, 2} }
func (other) Enum() []string   { return []string{"a"} }
func (args) Enum(int) []args   { return nil }
func (lists) Enum() [][]string { return nil }

func TestEnum(t *testing.T) {
	for of, want := range map[reflect.Type][]any{
		reflect.TypeFor[status]():  {status("open"), status("sent")},
		reflect.TypeFor[grade]():   {grade(1), grade(2)},
		reflect.TypeFor[*status](): nil, reflect.TypeFor[other](): nil,
		reflect.TypeFor[args](): nil, reflect.TypeFor[lists](): nil,
		reflect.TypeFor[string](): nil, reflect.TypeFor[any](): nil,
		reflect.TypeFor[struct{ status }](): nil, // which has the method by embedding
	} {
		if got := schema.Enum(of); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %v, want %v", of, got, want)
		}
	}
}
