package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// declared is what the module's Go files declare.
type declared struct {
	paths map[string]bool // of files and folders: whole, and every end of them
	names map[string]bool // functions, types, variables, fields; Type.member for members
}

// readTree reads all Go files but tests.
func readTree(t *testing.T) *declared {
	t.Helper()
	d := &declared{make(map[string]bool), make(map[string]bool)}
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		name := e.Name()
		switch {
		case err != nil:
			return err
		case e.IsDir() && (name == "node_modules" || name != ".." && name[0] == '.'):
			return filepath.SkipDir
		case !e.IsDir() && !strings.HasSuffix(name, ".go"),
			strings.HasSuffix(name, "_test.go"):
			return nil
		}
		for end := filepath.ToSlash(path); end != ""; _, end, _ = strings.Cut(end, "/") {
			d.paths[end] = true
		}
		if e.IsDir() {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err == nil {
			ast.Inspect(file, d.note)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// note takes down what a node declares.
func (d *declared) note(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncDecl:
		d.names[n.Name.Name] = true
		if n.Recv != nil {
			d.names[receiver(n.Recv.List[0].Type)+"."+n.Name.Name] = true
		}
		return false
	case *ast.TypeSpec:
		d.names[n.Name.Name] = true
		d.members(n.Name.Name, n.Type)
	case *ast.ValueSpec:
		for _, name := range n.Names {
			d.names[name.Name] = true
		}
	}
	return true
}

// members notes the fields of a struct, those that it embeds included, and an interface's methods.
func (d *declared) members(of string, t ast.Expr) {
	var list *ast.FieldList
	switch t := t.(type) {
	case *ast.StructType:
		list = t.Fields
	case *ast.InterfaceType:
		list = t.Methods
	default:
		return
	}
	for _, f := range list.List {
		for _, name := range f.Names {
			d.names[name.Name], d.names[of+"."+name.Name] = true, true
		}
	}
}

// receiver is the name of a method's type.
func receiver(t ast.Expr) string {
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

// has reports whether something of that name is there. What stands before the last dot but one is
// a package's name.
func (d *declared) has(name string) bool {
	if strings.ContainsRune(name, '/') || strings.HasSuffix(name, ".go") {
		return d.paths[name]
	}
	if d.names[name] || d.paths[name] {
		return true
	}
	first, rest, dotted := strings.Cut(name, ".")
	return dotted && d.paths[first] && d.names[rest]
}

// Whatever the page names is there, so that it cannot fall behind the code unnoticed.
func TestInside_NamesWhatIsThere(t *testing.T) {
	page, err := os.ReadFile("inside.md")
	if err != nil {
		t.Fatal(err)
	}
	tree := readTree(t)
	outside := map[string]bool{ // of other modules, or no name of a declaration
		"context.AfterFunc": true, "time.AfterFunc": true, "http.ErrAbortHandler": true,
		"http.Server": true, "http.Server.Serve": true, "http.Server.Shutdown": true,
		"meta.dropped": true, "wsx.presence": true, "make lockorder": true,
	}
	name := regexp.MustCompile(`^[\w./-]+$`)
	named := 0
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(string(page), -1) {
		word := strings.TrimPrefix(m[1], "go ")
		if outside[word] || !name.MatchString(word) {
			continue
		}
		if named++; !tree.has(word) {
			t.Errorf("%s: there is no %s", m[0], word)
		}
	}
	if named < 300 {
		t.Errorf("the page names %d things", named)
	}
}
