// Command mutants changes random lines of packages, one at a time, and tells which changes their
// own tests do not notice.
//
//	go run ./scripts/mutants -n 40 -seed 7 ./tasks ./wsx/...
//
// Each line is changed in one of the ways that mutate.go lists, and the tests of its package run
// against it, without the race detector and up to the first that fails. A change that does not
// compile is not counted; tests that hang have noticed. The changes named in equivalent.txt, which
// do not change what the program does, are not counted either. It exits with 1 when MAX per cent or
// more of a package's changes survive. No file of the tree is written.
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-json-experiment/json"
)

//go:embed equivalent.txt
var equivalents string

type options struct {
	number  int
	seed    uint64
	maximum float64
}

func main() {
	var o options
	flag.IntVar(&o.number, "n", 20, "lines to change in each package")
	flag.Uint64Var(&o.seed, "seed", 1, "which lines; the same seed and source give the same")
	flag.Float64Var(&o.maximum, "max", 15,
		"per cent of a package's changes of which fewer may survive")
	flag.Parse()
	log.SetFlags(0)
	ok, err := run(o, flag.Args())
	if err != nil {
		log.Fatal(err)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(o options, patterns []string) (ok bool, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	scratch, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(scratch)
	packages, err := list(ctx, patterns)
	if err != nil {
		return false, err
	}
	ok = true
	for _, p := range packages {
		if len(p.TestGoFiles)+len(p.XTestGoFiles) == 0 {
			continue
		}
		t := &trial{pkg: p, scratch: scratch, known: known(equivalents)}
		if err := t.run(ctx, o); err != nil {
			return false, fmt.Errorf("%s: %w", p.ImportPath, err)
		}
		fmt.Printf("%s: %d of %d survived (%d equivalent)\n", p.ImportPath, t.survived, t.tried,
			t.equivalent)
		if t.tried > 0 && float64(t.survived)*100 >= o.maximum*float64(t.tried) {
			ok = false
		}
	}
	return ok, nil
}

// pack is a package, as go list tells of it.
type pack struct {
	Dir, ImportPath                    string
	GoFiles, TestGoFiles, XTestGoFiles []string
	TestImports, XTestImports          []string
}

func list(ctx context.Context, patterns []string) ([]pack, error) {
	args := append([]string{
		"list",
		"-json=Dir,ImportPath,GoFiles,TestGoFiles,XTestGoFiles,TestImports,XTestImports",
	},
		patterns...)
	command := exec.CommandContext(ctx, "go", args...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var packages []pack
	for _, object := range strings.SplitAfter(string(out), "\n}\n") {
		if strings.TrimSpace(object) == "" {
			continue
		}
		var p pack
		if err := json.Unmarshal([]byte(object), &p); err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
	return packages, nil
}

// known reads the lines "FILE: BEFORE -> AFTER | REASON" of equivalent.txt; FILE is below the
// repository's root.
func known(text string) map[string]bool {
	all := map[string]bool{}
	for line := range strings.Lines(text) {
		change, _, isChange := strings.Cut(line, " | ")
		if isChange && !strings.HasPrefix(line, "#") {
			all[change] = true
		}
	}
	return all
}

// describe is the change as equivalent.txt names it.
func describe(file string, m mutant) string {
	root, err := os.Getwd()
	if err == nil {
		if below, err := filepath.Rel(root, file); err == nil {
			file = below
		}
	}
	// a line may be left out whole
	return strings.TrimSpace(fmt.Sprintf("%s: %s -> %s", filepath.ToSlash(file), m.before, m.after))
}
