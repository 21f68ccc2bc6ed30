package main

import (
	"go/parser"
	"go/token"
	"slices"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

const source = `package p

func f(a, b int, ok bool) error {
	defer g()
	for a < b {
		a++
	}
	if ok && !done {
		n = 41
	}
	g()
	return err
}
`

func TestMutants_OfEachKind(t *testing.T) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "p.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range mutants(files, file, []byte(source)) {
		got = append(got, m.before+" -> "+m.after)
		if _, err := parser.ParseFile(token.NewFileSet(), "p.go", m.apply([]byte(source)),
			0); err != nil {
			t.Errorf("%s: %v", got[len(got)-1], err)
		}
	}
	want := []string{
		"defer g() -> ",
		"for a < b { -> if a < b {",
		"for a < b { -> for a <= b {",
		"a++ -> a--",
		"if ok && !done { -> if !(ok && !done) {",
		"if ok && !done { -> if ok || !done {",
		"if ok && !done { -> if ok && done {",
		"n = 41 -> _ = 41",
		"n = 41 -> n = 42",
		"g() -> ",
		"return err -> return nil",
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestKnown(t *testing.T) {
	all := known("# a | comment\nx/y.go: a < b -> a <= b | they are never equal\n")
	if len(all) != 1 || !all["x/y.go: a < b -> a <= b"] {
		t.Errorf("%v", all)
	}
}
