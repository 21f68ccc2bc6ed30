package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/genropy/genro-asgi-go/wsx/wsxtest"
)

// asServer makes the test's own binary the server: a process of its own, which gets signals.
const asServer = "CONFORMANCE_SERVER"

// process is a running server.
type process struct {
	url  string
	cmd  *exec.Cmd
	once sync.Once
}

// launch starts the server as a process and waits until it is ready.
func launch(args ...string) (*process, error) {
	cmd := exec.Command(os.Args[0],
		append([]string{"-addr", "127.0.0.1:0", "-origins", "https://app.example"}, args...)...)
	cmd.Env = append(os.Environ(), asServer+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, fmt.Errorf("the server did not start: %q, %w", line, err)
	}
	return &process{url: "http://" + addr, cmd: cmd}, nil
}

// terminate begins its shutdown. A second signal might find the program without a handler of it any
// more.
func (p *process) terminate() { p.once.Do(func() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }) }

// target is a server for all vectors, and how to start one for a vector alone. All must end well.
func target(t *testing.T) *wsxtest.Target {
	t.Helper()
	start := func() (*process, error) {
		p, err := launch()
		if err == nil {
			t.Cleanup(func() {
				p.terminate()
				if err := p.cmd.Wait(); err != nil {
					t.Errorf("the server ended with %v", err)
				}
			})
		}
		return p, err
	}
	p, err := start()
	if err != nil {
		t.Fatal(err)
	}
	return &wsxtest.Target{URL: p.url, Start: func() (string, func(), error) {
		own, err := start()
		if err != nil {
			return "", nil, err
		}
		return own.url, own.terminate, nil
	}}
}

// folder has the vectors.
const folder = "../../wsx/testdata/conformance"

func load(t *testing.T) *wsxtest.Suite {
	t.Helper()
	suite, err := wsxtest.LoadSuite(os.DirFS(folder))
	if err != nil {
		t.Fatal(err)
	}
	return suite
}

func TestConformance_Vectors(t *testing.T) {
	wsxtest.RunSuite(t, load(t), target(t))
}

// TestConformance_RowsNameTestsThatExist looks up the Go tests that rows name instead of vectors.
func TestConformance_RowsNameTestsThatExist(t *testing.T) {
	for _, row := range load(t).Rows {
		for _, test := range row.Tests {
			dir, name, _ := strings.Cut(test, ".")
			files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(dir),
				"*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(files, func(file string) bool {
				b, err := os.ReadFile(file)
				return err == nil && strings.Contains(string(b), "\nfunc "+name+"(")
			}) {
				t.Errorf("row %s names %s, which is not there", row.ID, test)
			}
		}
	}
}
