package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The console blocks of docs/tasks.md are one session of a shell: the commands are run against the program, and have to print what stands there.
func TestGuide_SessionPrintsWhatItSays(t *testing.T) {
	skip := t.Skip // a machine without these tools; CI has them, and must not pass for want of them
	if os.Getenv("CI") != "" {
		skip = t.Fatal
	}
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			skip(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "curl", "-s", "-o", os.DevNull, "-w", "%header{x}", "file:///dev/null").Output(); err != nil || len(out) > 0 {
		skip("curl is older than 7.84")
	}
	page, err := os.ReadFile("../../../docs/tasks.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := session(string(page))
	if len(steps) < 10 {
		t.Fatalf("%d commands", len(steps))
	}
	p := start(t, "-dir", t.TempDir())
	const mark = "\x01\n"
	var script strings.Builder
	for _, s := range steps {
		script.WriteString(strings.ReplaceAll(s.command, "localhost:8080", strings.TrimPrefix(p.url, "http://")) + "\nprintf '\\1\\n'\n")
	}
	shell := exec.CommandContext(t.Context(), "bash")
	shell.Stdin = strings.NewReader(script.String())
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v; %s", err, out)
	}
	printed := strings.Split(string(out), mark)
	if len(printed) != len(steps)+1 {
		t.Fatalf("%d commands printed %q", len(steps), out)
	}
	for i, s := range steps {
		if !masked(s.output).MatchString(printed[i]) {
			t.Errorf("$ %s\nprinted\n%s\nand not\n%s", s.command, printed[i], s.output)
		}
	}
	if err := p.end(syscall.SIGTERM); err != nil {
		t.Errorf("%v; %s", err, p.stderr.String())
	}
}

type step struct{ command, output string }

// session is the commands of a page's console blocks, which begin with "$ ", and what stands below each.
func session(page string) (steps []step) {
	on := false
	for line := range strings.Lines(page) {
		switch command, ok := strings.CutPrefix(line, "$ "); {
		case strings.HasPrefix(line, "```"):
			on = line == "```console\n"
		case on && ok:
			steps = append(steps, step{command: strings.TrimSuffix(command, "\n")})
		case on:
			steps[len(steps)-1].output += line
		}
	}
	return steps
}

// masked matches text that says what output says: … alone on a line is any lines, elsewhere any text within its line.
func masked(output string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A`)
	for line := range strings.Lines(output) {
		if line == "…\n" {
			b.WriteString(`(?:.*\n)*?`)
			continue
		}
		for i, part := range strings.Split(line, "…") {
			if i > 0 {
				b.WriteString(`.*?`)
			}
			b.WriteString(regexp.QuoteMeta(part))
		}
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

func TestMasked(t *testing.T) {
	for _, c := range []struct {
		page, printed string
		want          bool
	}{
		{"a…c\n", "abbc\n", true},
		{"a…c\n", "ab\nc\n", false},
		{"a\n…\nc\n", "a\nb\nb\nc\n", true},
		{"a\n…\nc\n", "a\nb\nd\n", false},
		{"a.c\n", "abc\n", false},
		{"", "a\n", false},
		{"a\n", "a\na\n", false},
	} {
		if masked(c.page).MatchString(c.printed) != c.want {
			t.Errorf("%q and %q", c.page, c.printed)
		}
	}
}
