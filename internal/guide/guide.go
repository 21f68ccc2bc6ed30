// Package guide reads the pages of the documentation as a reader uses them, so that tests can do
// what they say: the Go blocks of a page that holds a package clause are one program, and its
// console blocks are one session of a shell.
package guide

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// A Step is a command of a console block, a line that begins with "$ ", and what the page says that
// it prints.
type Step struct{ Command, Output string }

// Steps returns the commands of the page's console blocks, in the page's order.
func Steps(page string) []Step {
	var steps []Step
	inside := false
	for line := range strings.Lines(page) {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console\n"
		case inside && isCommand:
			steps = append(steps, Step{Command: strings.TrimSuffix(command, "\n")})
		case inside:
			steps[len(steps)-1].Output += line
		}
	}
	return steps
}

// Program returns the page's Go blocks, one below the other, or "" when none of them is a package
// clause's.
func Program(page string) string {
	var b strings.Builder
	inside := false
	for line := range strings.Lines(page) {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```go\n"
			if inside && b.Len() > 0 {
				b.WriteString("\n")
			}
		case inside:
			b.WriteString(line)
		}
	}
	if !strings.HasPrefix(b.String(), "package ") {
		return ""
	}
	return b.String()
}

// mark separates what the commands of a session print.
const mark = "\x01\n"

// Script returns the steps as a shell script whose output Check can take apart. After a command
// that ends in "&", and prints to standard error, it waits for a minute at most until something
// listens on address, a host:port; at its end it stops all of its process group, which must be its
// own.
func Script(steps []Step, address string) string {
	host, port, _ := strings.Cut(address, ":")
	var b strings.Builder
	// go run passes no signal on to the program
	b.WriteString("trap 'trap \"\" TERM; kill -TERM 0; wait' EXIT\n")
	for _, s := range steps {
		command, background := strings.CutSuffix(s.Command, "&")
		if !background {
			b.WriteString(command + "\n")
		} else {
			b.WriteString(command + ">&2 &\n")
			const wait = "for i in $(seq 600); do (: </dev/tcp/%s/%s) 2>/dev/null && break; kill " +
				"-0 $! || break; sleep 0.1; done\n"
			fmt.Fprintf(&b, wait, host, port)
		}
		b.WriteString("printf '\\1\\n'\n")
	}
	return b.String()
}

// Run does the steps in a bash of its own process group, in dir and with env, and tells of what
// differs from what they say, with what they printed to standard error. A server that they start
// listens on address, and is stopped at the end.
func Run(ctx context.Context, steps []Step, address, dir string, env []string) error {
	var stdout, stderr bytes.Buffer
	shell := exec.CommandContext(ctx, "bash")
	shell.Dir, shell.Env = dir, env
	shell.Stdin = strings.NewReader(Script(steps, address))
	shell.Stdout, shell.Stderr = &stdout, &stderr
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	shell.WaitDelay = 10 * time.Second
	if err := errors.Join(shell.Run(), Check(steps, stdout.String())); err != nil {
		return fmt.Errorf("%w\n%s", err, stderr.String())
	}
	return nil
}

// Check compares what the script of the steps printed with what they say, and tells of the first
// that differs.
func Check(steps []Step, printed string) error {
	parts := strings.Split(printed, mark)
	if len(parts) != len(steps)+1 {
		return fmt.Errorf("of %d commands %d ended; they printed %q", len(steps), len(parts)-1,
			printed)
	}
	for i, s := range steps {
		if !s.printed(parts[i]) {
			return fmt.Errorf("$ %s\nprinted\n%s\nand not\n%s", s.Command, parts[i], s.Output)
		}
	}
	return nil
}

// printed tells whether text is what the page says: there, "…" alone on a line is any lines, and
// elsewhere any text within its line. A line's end is not compared: curl prints none, and a page
// cannot show that.
func (s Step) printed(text string) bool {
	var b strings.Builder
	b.WriteString(`\A`)
	for line := range strings.Lines(strings.TrimSuffix(s.Output, "\n")) {
		if strings.TrimSuffix(line, "\n") == "…" {
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
	b.WriteString(`\n?\z`)
	return regexp.MustCompile(b.String()).MatchString(text)
}
