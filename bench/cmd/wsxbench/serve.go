package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"syscall"
	"time"
)

// serve is the process of one contestant. It says on which address it listens, answers each command
// on a line of in with a line, and ends with in: also when the driver was killed.
//
//	stats           what it has used so far
//	gc              the same, after a collection
//	profile FILE    profiles its CPU use from now on
//	heap FILE       writes a profile of its heap
func serve(name string, in io.Reader, out io.Writer) error {
	c := byName(name)
	if c == nil {
		return fmt.Errorf("no contestant %q", name)
	}
	handler, err := c.handler()
	if err != nil {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		s := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
		failed <- s.Serve(listener)
	}()
	fmt.Fprintln(out, listener.Addr())

	commands := bufio.NewScanner(in)
	for commands.Scan() {
		command, arg, _ := strings.Cut(commands.Text(), " ")
		switch command {
		case "gc":
			debug.FreeOSMemory()
			debug.FreeOSMemory() // what finalizers and pools gave up in the first
		case "heap":
			if err := writeHeap(arg); err != nil {
				return err
			}
		case "profile":
			f, err := os.Create(arg)
			if err != nil {
				return err
			}
			if err := pprof.StartCPUProfile(f); err != nil {
				return err
			}
			defer f.Close()
			defer pprof.StopCPUProfile()
		}
		if err := ownUsage().write(out); err != nil {
			return err
		}
	}
	select {
	case err := <-failed:
		return err
	default:
		return commands.Err()
	}
}

func writeHeap(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(pprof.WriteHeapProfile(f), f.Close())
}

// usage is what a process has used so far.
type usage struct {
	cpu       time.Duration // user and system
	mallocs   uint64
	rss, peak int64 // bytes
}

func ownUsage() usage {
	var u usage
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) == nil {
		u.cpu = time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.mallocs = m.Mallocs
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return u // no Linux: no memory figures
	}
	for line := range strings.Lines(string(status)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			u.rss = kb << 10
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			u.peak = kb << 10
		}
	}
	return u
}

func (u usage) write(w io.Writer) error {
	_, err := fmt.Fprintln(w, int64(u.cpu), u.mallocs, u.rss, u.peak)
	return err
}

func (u *usage) read(line string) error {
	_, err := fmt.Sscan(line, &u.cpu, &u.mallocs, &u.rss, &u.peak)
	return err
}
