package typed_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/typed"
	"github.com/genropy/genro-asgi-go/problem"
)

type Paging struct {
	Limit int `query:"limit" json:"max"`
	*Paging
}

type Sorting struct {
	Order string `query:"order" json:"by"`
}

type listing struct {
	*Sorting
	ID    int      `path:"a/b~" json:"id"`
	Tags  []string `query:"tag"`
	Token string   `header:"x-token" json:"-"`
	Lang  string   `header:"accept-language" json:"lang"`
	Named struct { // whose members are none of the listing's
		Limit int `query:"limit" json:"below"`
		Deep  int `query:"deep" json:"deep"`
	} `json:"named"`
	Other struct {
		Deep int `query:"deep" json:"deep"`
	}
	Note string `json:"note"`
	Paging
}

func TestOfValidation_CallsFieldsByTheirMembers(t *testing.T) {
	for _, c := range []struct{ in, pointer, want string }{
		{"query", "/limit", "body /max"},
		{"path", "/a~1b~0", "body /id"},
		{"query", "/tag/1", "body /Tags/1"},
		{"header", "/Accept-Language", "body /lang"},
		{"header", "/X-Token", "header /X-Token"}, // which no body has
		{"query", "/max", "query /max"},
		{"query", "/order", "body /by"},
		{"query", "/deep", "query /deep"},
		{"cookie", "/limit", "cookie /limit"},
		{"body", "/note", "body /note"},
		{"", "/limit", " /limit"},
		{"query", "", "query "},
	} {
		err := fmt.Errorf("wrapped: %w",
			errors.Join(problem.Field{In: c.in, Pointer: c.pointer},
				problem.Field{In: "query", Pointer: "/limit"}))
		for _, of := range []reflect.Type{reflect.TypeFor[listing](), reflect.TypeFor[*listing]()} {
			e := typed.OfValidation(of, err)
			if got := e.Fields[0].In + " " + e.Fields[0].Pointer; got != c.want &&
				!(c.in == "" && got == "body /limit") || e.Status != 422 ||
				e.Fields[1].Pointer != "/max" {
				t.Errorf("%v: %+v, want %s", c, e.Fields, c.want)
			}
		}
		if e := typed.OfValidation(reflect.TypeFor[[]int](), err); e.Fields[1].Pointer != "/limit" {
			t.Errorf("%+v", e.Fields)
		}
	}
	kept := problem.Invalid(problem.Field{In: "query", Pointer: "/limit"})
	if moved := typed.OfValidation(reflect.TypeFor[listing](), kept); moved == kept ||
		kept.Fields[0].In != "query" {
		t.Error("the error itself was changed, which may serve others")
	}
	if e := typed.OfValidation(reflect.TypeFor[listing](), errors.New("no problem")); e.Status !=
		422 || e.Fields != nil {
		t.Errorf("%+v", e)
	}
}
