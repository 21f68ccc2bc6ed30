package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
)

// trial is the changes of one package and what came of them.
type trial struct {
	pkg     pack
	scratch string
	known   map[string]bool // changes that do not change what the program does

	tried, survived, equivalent int
}

// mutantOf is a mutant and its file.
type mutantOf struct {
	mutant
	file   string
	source []byte
}

func (t *trial) run(ctx context.Context, o options) error {
	lines, err := t.lines()
	if err != nil {
		return err
	}
	binary := filepath.Join(t.scratch, "package.test")
	if err := t.build(ctx, binary, ""); err != nil {
		return err
	}
	start := time.Now()
	if err := t.test(ctx, binary, 10*time.Minute); err != nil {
		return fmt.Errorf("the tests fail without a change: %w", err)
	}
	limit := 3*time.Since(start) + 20*time.Second

	random := rand.New(rand.NewPCG(o.seed, 0))
	random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	for _, line := range lines {
		if t.tried == o.number || ctx.Err() != nil {
			break
		}
		if err := t.try(ctx, line[random.IntN(len(line))], binary, limit); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// lines lists the mutants of the package by the line on which they stand.
func (t *trial) lines() ([][]mutantOf, error) {
	var lines [][]mutantOf
	for _, name := range t.pkg.GoFiles {
		file := filepath.Join(t.pkg.Dir, name)
		source, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		files := token.NewFileSet()
		parsed, err := parser.ParseFile(files, file, source, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		last := 0
		for _, m := range mutants(files, parsed, source) {
			if m.line != last {
				lines = append(lines, nil)
				last = m.line
			}
			lines[len(lines)-1] = append(lines[len(lines)-1], mutantOf{m, file, source})
		}
	}
	return lines, nil
}

// try runs the tests against one change and prints it when they do not notice.
func (t *trial) try(ctx context.Context, m mutantOf, binary string, limit time.Duration) error {
	text := describe(m.file, m.mutant)
	if t.known[text] {
		t.equivalent++
		return nil
	}
	changed := filepath.Join(t.scratch, "changed.go")
	if err := os.WriteFile(changed, m.apply(m.source), 0o600); err != nil {
		return err
	}
	overlay := filepath.Join(t.scratch, "overlay.json")
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {m.file: changed}})
	if err != nil {
		return err
	}
	if err := os.WriteFile(overlay, replace, 0o600); err != nil {
		return err
	}
	if t.build(ctx, binary, overlay) != nil {
		return ctx.Err() // it does not compile
	}
	err = t.test(ctx, binary, limit)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	t.tried++
	if err == nil {
		t.survived++
		fmt.Printf("survived %s:%d\n         %s\n", m.file, m.line, text)
	}
	return nil
}

func (t *trial) build(ctx context.Context, binary, overlay string) error {
	args := []string{"test", "-c", "-vet=off", "-o", binary}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	command := exec.CommandContext(ctx, "go", append(args, t.pkg.ImportPath)...)
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// test runs the tests, and kills them and all that they started after limit.
func (t *trial) test(ctx context.Context, binary string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var out bytes.Buffer
	args := []string{"-test.failfast"}
	if slices.Contains(slices.Concat(t.pkg.TestImports, t.pkg.XTestImports), "pgregory.net/rapid") {
		args = append(args, "-rapid.nofailfile") // it would write one into the package's testdata
	}
	command := exec.CommandContext(ctx, binary, args...)
	command.Dir = t.pkg.Dir
	command.Stdout, command.Stderr = &out, &out
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	err := command.Run()
	if command.Process != nil {
		_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL) // what they left behind
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("%w: %s", err, out.Bytes())
	}
	return nil
}
