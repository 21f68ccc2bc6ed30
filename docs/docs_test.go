// Package docs_test does what the README and the guides say: it runs their console blocks, in
// modules of a reader's own.
package docs_test

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/guide"
	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

const module = "github.com/genropy/genro-asgi-go"

// missing ends a test for want of a tool: CI has them all, and must not pass without one.
func missing(t *testing.T, why any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// Each page is one session in a new directory, with the page's program in main.go. The module comes
// from a proxy, as a reader gets it.
func TestPages_SessionsPrintWhatTheySay(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "make"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "curl", "-s", "-o", os.DevNull, "-w", "%header{x}",
		"file:///dev/null").Output()
	if err != nil || len(out) > 0 {
		missing(t, "curl is older than 7.84")
	}
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	env := readersEnvironment(t)
	for _, name := range append(pages, "../README.md") {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(guide.Steps(string(page))) > 0 {
			t.Run(filepath.Base(name), func(t *testing.T) { session(t, string(page), env) })
		}
	}
}

func session(t *testing.T, page string, env []string) {
	// The port that the pages name may be taken here.
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	page = strings.NewReplacer("localhost:8080", address, ":8080", ":"+port).Replace(page)
	steps := guide.Steps(page)
	// see below
	steps = slices.DeleteFunc(steps,
		func(s guide.Step) bool { return strings.HasPrefix(s.Command, "make ") })
	dir := t.TempDir()
	if program := guide.Program(page); program != "" {
		if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, steps, address, dir, env)
}

// run does the steps in a shell in dir; a server that they start listens on address.
func run(t *testing.T, steps []guide.Step, address, dir string, env []string) {
	t.Helper()
	if err := guide.Run(t.Context(), steps, address, dir, env); err != nil {
		t.Error(err)
	}
}

// The README promises two commands in a clone: one runs the demo, and the other the tests, these
// among them.
func TestReadme_TwoCommands(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "make"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing(t, err)
		}
	}
	page, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var commands []string
	for _, s := range guide.Steps(string(page)) {
		if command, _, _ := strings.Cut(s.Command, "#"); strings.HasPrefix(command, "make ") {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	if !slices.Equal(commands, []string{"make demo", "make test"}) {
		t.Fatalf("%q", commands)
	}
	t.Run("make demo", func(t *testing.T) {
		address, log := freeAddress(t), filepath.Join(t.TempDir(), "log")
		run(t, []guide.Step{
			{Command: "make demo ADDR=" + address + " 2>" + log + " &"},
			{
				Command: "curl -s -d '{\"a\":2,\"b\":40}' -H 'Content-Type: " +
					"application/json' http://" + address + "/add", Output: "{\"sum\":42}\n",
			},
			{
				Command: "make demo ADDR=" + address +
					" 2>&1 | grep -o 'make demo ADDR=127.0.0.1:8081'",
				Output: "make demo ADDR=127.0.0.1:8081\n",
			},
			{
				Command: "grep -o 'open http://" + address + "' " + log,
				Output:  "open http://" + address + "\n",
			},
		}, address, "..", os.Environ())
	})
	t.Run("CI runs make test", func(t *testing.T) {
		ci, err := os.ReadFile("../.ci/run")
		if err != nil {
			t.Fatal(err)
		}
		test := plan(t, "test")
		if test == "" || !strings.Contains(plan(t, "check"), test) ||
			!strings.Contains(string(ci), "\nmake check\n") {
			t.Errorf("CI is %s", ci)
		}
	})
}

// plan is what make would run for the target.
func plan(t *testing.T, target string) string {
	t.Helper()
	// as this test may run below make
	command := exec.CommandContext(t.Context(), "make", "--no-print-directory", "-n", target)
	command.Dir = ".."
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// readersEnvironment is that of somebody who gets the module, as it is in this tree, from a proxy.
// What it requires comes from the module cache of this machine where it is there.
func readersEnvironment(t *testing.T) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE", "GOPROXY").Output()
	if err != nil {
		t.Fatal(err)
	}
	settings := strings.Fields(string(out))
	proxies := []string{
		"file://" + proxy(t), "file://" + settings[0] + "/cache/download",
		settings[1],
	}
	return append(os.Environ(), "GOWORK=off", "GOFLAGS=-buildvcs=false -modcacherw -trimpath",
		"GONOSUMDB="+module,
		"GOMODCACHE="+t.TempDir(), "GOPROXY="+strings.Join(proxies, ","))
}

// proxy makes a module proxy in a directory that has one version of this module, of the files in
// this tree (https://go.dev/ref/mod#goproxy-protocol).
func proxy(t *testing.T) string {
	t.Helper()
	const version = "v0.1.0"
	root := t.TempDir()
	dir := filepath.Join(root, module, "@v")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	gomod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"list": version + "\n", version + ".mod": string(gomod),
		version + ".info": fmt.Sprintf(`{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, version),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(dir, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := pack(f, module+"@"+version+"/"); err != nil {
		t.Fatal(err)
	}
	return root
}

// pack writes the files of the root module below prefix: not those of nested modules, and none of
// git's or ours in bin.
func pack(w io.Writer, prefix string) error {
	z := zip.NewWriter(w)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == ".." {
			return err
		}
		name, err := filepath.Rel("..", path)
		switch {
		case err != nil:
			return err
		case entry.IsDir():
			_, notNested := os.Stat(filepath.Join(path, "go.mod"))
			if name == ".git" || name == "bin" || notNested == nil {
				return fs.SkipDir
			}
			return nil
		case !entry.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := z.Create(prefix + filepath.ToSlash(name))
		if err != nil {
			return err
		}
		_, err = file.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	return z.Close()
}
