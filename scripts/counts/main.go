// Command counts prints figures that tell whether a stranger can find the way in the house: how
// wide its lines are, how large its files, functions, types and packages.
//
//	go run ./scripts/counts          # of the tree that one stands in
//	go run ./scripts/counts /other/checkout
//
// It reads what git tracks, nested modules included. A tab counts 4 columns. Lines and nolint are
// counted in all Go files, the rest without the tests.
package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	columns       = 100
	functionLines = 60
	packageFiles  = 30
	largest       = 8 // of each list, so many are printed
)

// A house is what was counted.
type house struct {
	files, lines, comments int // comments are lines that are only that, tests left out
	codeLines              int // the lines of which they are a share
	wide                   []string
	nolint                 map[string]int // by linter
	long                   []string       // functions
	perPackage             map[string]*room
	methods                map[string]int // by package and type
	methodFiles            map[string]map[string]bool
}

// A room is a package directory.
type room struct{ files, tests, exported int }

func main() {
	log.SetFlags(0)
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	git := exec.CommandContext(context.Background(), "git", "-C", root, "ls-files", "*.go")
	out, err := git.Output()
	if err != nil {
		log.Fatalf("counts: git ls-files in %s: %v", root, err)
	}
	h := &house{
		nolint: map[string]int{}, perPackage: map[string]*room{},
		methods: map[string]int{}, methodFiles: map[string]map[string]bool{},
	}
	for name := range strings.FieldsSeq(string(out)) {
		if err := h.file(root, name); err != nil {
			log.Fatalf("counts: %v", err)
		}
	}
	h.print()
}

func (h *house) file(root, name string) error {
	source, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, source, parser.ParseComments)
	if err != nil {
		return err
	}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if after, ok := strings.CutPrefix(comment.Text, "//nolint:"); ok {
				linter, _, _ := strings.Cut(after, " ")
				h.nolint[linter]++
			}
		}
	}
	test := strings.HasSuffix(name, "_test.go")
	h.files++
	h.countLines(name, source, test)
	dir := path.Dir(name)
	in := h.perPackage[dir]
	if in == nil {
		in = &room{}
		h.perPackage[dir] = in
	}
	if test {
		in.tests++
	} else {
		in.files++
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			n := set.Position(f.End()).Line - set.Position(f.Pos()).Line + 1
			if n > functionLines && !test {
				h.long = append(h.long, fmt.Sprintf("%s %s: %d lines", name, f.Name.Name, n))
			}
			if t := receiver(f); t != "" && !test {
				h.method(dir+"."+t, name)
			}
		}
		if !test && file.Name.Name != "main" {
			in.exported += exported(d)
		}
	}
	return nil
}

func (h *house) countLines(name string, source []byte, test bool) {
	number := 0
	for line := range bytes.Lines(source) {
		number++
		h.lines++
		line = bytes.TrimRight(line, "\n")
		if w := utf8.RuneCount(line) + 3*bytes.Count(line, []byte{'\t'}); w > columns {
			h.wide = append(h.wide, fmt.Sprintf("%s:%d: %d columns", name, number, w))
		}
		text := bytes.TrimSpace(line)
		if test || len(text) == 0 {
			continue
		}
		h.codeLines++
		if bytes.HasPrefix(text, []byte("//")) {
			h.comments++
		}
	}
}

func (h *house) method(of, file string) {
	h.methods[of]++
	if h.methodFiles[of] == nil {
		h.methodFiles[of] = map[string]bool{}
	}
	h.methodFiles[of][file] = true
}

// receiver is the name of the type whose method f is, or empty.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	t := f.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// exported counts the names that d adds to its package: constants, variables, functions and types.
func exported(d ast.Decl) (n int) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil && d.Name.IsExported() {
			n++
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					n++
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() {
						n++
					}
				}
			}
		}
	}
	return n
}

func (h *house) print() {
	fmt.Printf("Go files                        %d, %d lines\n", h.files, h.lines)
	fmt.Printf("comment share without tests     %.0f %%\n",
		100*float64(h.comments)/float64(h.codeLines))
	fmt.Printf("lines over %d columns          %d\n", columns, len(h.wide))
	list(h.wide)
	sum := 0
	for _, n := range h.nolint {
		sum += n
	}
	fmt.Printf("nolint                          %d\n", sum)
	list(ranked(h.nolint))
	fmt.Printf("functions over %d lines         %d (without tests)\n", functionLines, len(h.long))
	list(h.long)
	files, names := map[string]int{}, map[string]int{}
	over := 0
	for dir, r := range h.perPackage {
		files[dir], names[dir] = r.files, r.exported
		if r.files > packageFiles {
			over++
		}
	}
	fmt.Printf("packages of over %d files       %d (without tests); the largest:\n",
		packageFiles, over)
	list(ranked(files))
	fmt.Println("exported names of a package, the most:")
	list(ranked(names))
	fmt.Println("methods of a type, the most:")
	methods := ranked(h.methods)
	for i, m := range methods {
		of, _, _ := strings.Cut(m, ": ")
		methods[i] += fmt.Sprintf(" in %d files", len(h.methodFiles[of]))
	}
	list(methods)
}

func ranked(m map[string]int) (lines []string) {
	for _, k := range slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b))
	}) {
		lines = append(lines, fmt.Sprintf("%s: %d", k, m[k]))
	}
	return lines
}

func list(lines []string) {
	for i, l := range lines {
		if i == largest {
			fmt.Printf("    ... and %d more\n", len(lines)-i)
			return
		}
		fmt.Println("    " + l)
	}
}
