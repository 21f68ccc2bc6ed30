package guide

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/genropy/genro-asgi-go/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }

const page = "# A page\n\n```console\n$ a\n```\n\n```go\npackage " +
	"main\n```\n\ntext\n\n```go\nfunc main() {}\n```\n\n" +
	"```console\n$ b & c\none\ntwo\n$ d\n```\n\n```sh\n$ e\n```\n"

func TestSteps(t *testing.T) {
	steps := Steps(page)
	if len(steps) != 3 || steps[0] != (Step{"a", ""}) ||
		steps[1] != (Step{"b & c", "one\ntwo\n"}) || steps[2] != (Step{"d", ""}) {
		t.Errorf("%q", steps)
	}
}

func TestProgram(t *testing.T) {
	if got := Program(page); got != "package main\n\nfunc main() {}\n" {
		t.Errorf("%q", got)
	}
	if got := Program("```go\nf()\n```\n"); got != "" {
		t.Errorf("a fragment is a program: %q", got)
	}
}

func TestStep_Printed(t *testing.T) {
	for _, c := range []struct {
		page, printed string
		want          bool
	}{
		{"a…c\n", "abbc\n", true},
		{"a…c\n", "ab\nc\n", false},
		{"a\n…\nc\n", "a\nb\nb\nc\n", true},
		{"a\n…\nc\n", "a\nb\nd\n", false},
		{"a\n…\n", "a\nb\nb\n", true},
		{"a.c\n", "abc\n", false},
		{"a\n", "a", true},
		{"", "a\n", false},
		{"a\n", "a\na\n", false},
	} {
		if (Step{Output: c.page}).printed(c.printed) != c.want {
			t.Errorf("%q and %q", c.page, c.printed)
		}
	}
}

func TestScript_RunsOneSession(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		missing(t, err)
	}
	run := func(steps []Step) error {
		return Run(t.Context(), steps, "127.0.0.1:1", "", os.Environ())
	}
	if err := run([]Step{{"x=1", ""}, {"echo $x; echo 2", "1\n2\n"}}); err != nil {
		t.Error(err)
	}
	if err := run([]Step{{"x=1", ""}, {"echo $x", "2\n"}}); err == nil {
		t.Error("a wrong output passed")
	}
	if err := run([]Step{{"exit 0", ""}, {"echo 1", "1\n"}}); err == nil {
		t.Error("a command that did not run passed")
	}
}

// missing ends a test for want of a tool: CI has them all, and must not pass without one.
func missing(t *testing.T, why error) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func TestScript_WaitsForWhatItStartsAndStopsIt(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		missing(t, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	file := filepath.Join(t.TempDir(), "begun")
	steps := []Step{
		// no process beside it: one that outlives it by a moment would count
		{"(echo a log line; : >" + file + "; exec sleep 600) &", ""},
		{"until [ -e " + file + " ]; do :; done; echo begun", "begun\n"},
	}
	shell := exec.CommandContext(t.Context(), bash)
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Stdin = strings.NewReader(Script(steps, l.Addr().String()))
	out, err := shell.Output()
	if err != nil {
		t.Error(err)
	}
	if err := Check(steps, string(out)); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(-shell.Process.Pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("what it started is still there: %v", err)
	}
	if err := Check(steps, ""); err == nil ||
		!strings.Contains(err.Error(), "of 2 commands 0 ended") {
		t.Error(err)
	}
}
