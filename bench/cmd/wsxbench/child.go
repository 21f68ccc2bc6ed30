package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// child is a contestant's process, seen from the driver.
type child struct {
	addr string
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
}

// start runs a contestant. It ends with stop.
func start(c *contestant) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &child{cmd: exec.CommandContext(context.Background(), self, "serve", c.name)}
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if s.addr, err = s.out.ReadString('\n'); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.addr = strings.TrimSpace(s.addr)
	return s, nil
}

// ask sends a command and returns the process's usage.
func (s *child) ask(command string) (u usage, err error) {
	if _, err = fmt.Fprintln(s.in, command); err != nil {
		return u, err
	}
	line, err := s.out.ReadString('\n')
	if err != nil {
		return u, err
	}
	return u, u.read(line)
}

func (s *child) stop() error {
	_ = s.in.Close() // that is what it waits for
	return s.cmd.Wait()
}
