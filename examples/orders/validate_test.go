package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/genropy/genro-asgi-go/problem"
)

// Whatever a type looks like, a field is called as its sender calls it.
func TestValidator_Places(t *testing.T) {
	type Base struct {
		Name string `json:"name" validate:"required"`
	}
	type named[T any] struct { // its Go name has dots
		*Base
		Dotted   string         `json:"a.b" validate:"required"`
		Slash    string         `json:"a/b~" validate:"required"`
		Untagged string         `validate:"required"`
		Map      map[string]int `json:"map" validate:"dive,min=1"`
		Deep     [][]T          `json:"deep" validate:"dive,dive"`
		Header   string         `header:"X-Shop" json:"shop" validate:"required"`
		Own      struct{ Base } `json:"own"`
	}
	err := newValidator()(&named[Item]{
		Base: &Base{}, Map: map[string]int{"x.y/z": 0},
		Deep: [][]Item{{{SKU: "a", Quantity: 1}, {SKU: "b"}}},
	})
	var got []string
	for _, f := range problem.Of(err).Fields {
		got = append(got, f.In+f.Pointer)
	}
	want := "[body/name body/a.b body/a~1b~0 body/Untagged body/map/x.y~1z " +
		"body/deep/0/1/quantity header/X-Shop body/own/name]"
	if fmt.Sprint(got) != want {
		t.Errorf("%v\nwant %s", got, want)
	}
	if err := newValidator()(&time.Time{}); err != nil {
		t.Error(err)
	}
}

// What the guide says to copy is what runs here.
func TestValidator_IsTheGuides(t *testing.T) {
	source, err := os.ReadFile("validate.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/validation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(source), "func newValidator")
	if !strings.Contains(string(page), "func newValidator"+code+"```\n") {
		t.Error("docs/validation.md has another adapter")
	}
}
