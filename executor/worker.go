package executor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/executor/internal/frame"
	"github.com/genropy/genro-asgi-go/executor/internal/proc"
	"github.com/genropy/genro-asgi-go/executor/internal/shared"
	"github.com/genropy/genro-asgi-go/internal/lockorder"
)

// marker is the environment variable that makes a process a worker: its value is "protocol calls"
// and the numbers of what is inherited: calls, answers, control, life, alive and those of
// shared.Open.
const marker = "GENRO_ASGI_EXECUTOR_WORKER"

const protocol = 3

// hello is what a worker is told first.
type hello struct {
	Protocol    int    `json:"protocol"`
	Build       string `json:"build"`
	Dir         string `json:"dir"`          // where files are exchanged, "" with memfd
	MemoryLimit int64  `json:"memory_limit"` // bytes, 0 none
	MaxPayload  int64  `json:"max_payload"`  // bytes
}

// welcome is its answer.
type welcome struct {
	Protocol int    `json:"protocol"`
	Build    string `json:"build"`
	Error    string `json:"error,omitempty"` // why it cannot serve
}

// Main makes this process a worker if an Executor started it as one: then it serves calls and never
// returns. In any other process it does nothing. It stands first in main, and in TestMain, after
// UseWorker alone.
func Main() {
	around := workerMiddleware()
	value, ok := os.LookupEnv(marker)
	if !ok {
		return
	}
	if err := workerMain(value, around); err != nil {
		fmt.Fprintln(os.Stderr, "executor: worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// errMarker is a marker that no Executor set.
var errMarker = errors.New("the environment variable " + marker + " is not for you to set")

func workerMain(value string, around []Middleware) error {
	var numbers []uintptr
	for _, field := range strings.Fields(value) {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil {
			return errMarker
		}
		numbers = append(numbers, uintptr(n))
	}
	if len(numbers) < 2+proc.Pipes {
		return errMarker
	}
	version, calls := int(numbers[0]), int(numbers[1])
	if version != protocol {
		return fmt.Errorf("protocol %d asked for, %d known", version, protocol)
	}
	_ = os.Unsetenv(marker) // a child of this process is no worker
	in, out, control, err := proc.WorkerPipes(numbers[2:], calls)
	if err != nil {
		return fmt.Errorf("%w: %w", errMarker, err)
	}
	with, err := shared.Open(numbers[2+proc.Pipes:])
	if err != nil {
		return fmt.Errorf("%w: %w", errMarker, err)
	}
	s := newServer(in, out, control, with)
	s.around = around
	if err := s.greet(proc.Limit); err != nil {
		return err
	}
	go s.listen(func() {
		proc.EndOrphan()
		os.Exit(1)
	})
	for range calls {
		go s.serve()
	}
	<-s.done
	return s.err
}

// server is the worker's side of the pipes.
type server struct {
	out     *frame.Writer
	control *bufio.Reader
	shared  *shared.Side
	around  []Middleware // around each function
	dir     string       // for files, where they need one
	max     int64
	done    chan struct{} // closed when the parent has ended the pipe of calls, and err says how
	err     error

	reading chan struct{} // capacity 1: full while a goroutine waits for a call
	in      *bufio.Reader // for who is reading

	mu      lockorder.Mutex
	latest  uint64 // highest id read
	more    bool   // and another call has come with it
	cancels map[uint64]context.CancelCauseFunc
	// cancelled before their call was read: the control pipe is the faster one
	early map[uint64]bool
}

func newServer(in, out, control *os.File, with *shared.Side) *server {
	return &server{
		in: bufio.NewReaderSize(in, 64<<10), out: frame.NewWriter(out),
		control: bufio.NewReaderSize(control, 4<<10), shared: with,
		done: make(chan struct{}), reading: make(chan struct{}, 1),
		cancels: make(map[uint64]context.CancelCauseFunc), early: make(map[uint64]bool),
	}
}

// greet answers the hello; apply sets the limit of memory it asks for.
func (s *server) greet(apply func(memory int64) error) error {
	t, _, payload, err := frame.Read(s.in, nil)
	if err != nil {
		return fmt.Errorf("no greeting: %w", err)
	}
	var h hello
	if err := json.Unmarshal(payload, &h); err != nil || t != frame.Hello {
		return fmt.Errorf("bad greeting: %w", errors.Join(err, frame.ErrMalformed))
	}
	answer := welcome{Protocol: protocol, Build: buildID()}
	if h.Build == answer.Build {
		if err := apply(h.MemoryLimit); err != nil {
			answer.Error = err.Error()
		}
	}
	s.dir, s.max = h.Dir, h.MaxPayload
	s.shared.SetDir(h.Dir)
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return s.out.Write(frame.New(frame.Hello, 0, body), false)
}

// listen serves the control pipe, apart from the calls, so that a cancel reaches a running
// function. Its end means that the parent is gone.
func (s *server) listen(orphaned func()) {
	var buf []byte
	for {
		t, id, payload, err := frame.Read(s.control, buf)
		if err != nil {
			orphaned()
			return
		}
		buf = payload
		s.mu.Lock()
		if t == frame.Cancel {
			if cancel := s.cancels[id]; cancel != nil {
				cancel(context.Canceled)
			} else if id > s.latest {
				s.early[id] = true
			}
		}
		s.mu.Unlock()
	}
}

// serve reads a call and runs it in this same goroutine, until the pipe ends. As many goroutines
// serve as there may be calls at once: one waits in read, and where a worker has one call at a
// time, nothing is handed over between goroutines.
func (s *server) serve() {
	finished := false
	defer func() {
		if !finished { // a function ended this goroutine; the next calls need another
			go s.serve()
		}
	}()
	var buf []byte
	var reply bytes.Buffer
	for {
		s.reading <- struct{}{}
		t, id, payload, err := frame.Read(s.in, buf)
		if err == nil && t != frame.Call {
			err = fmt.Errorf("%w: type %d where a call is due", frame.ErrMalformed, t)
		}
		if err != nil {
			if s.err == nil && !errors.Is(err, io.EOF) {
				s.err = err
			}
			select {
			case <-s.done:
			default:
				close(s.done)
			}
			<-s.reading
			finished = true
			return
		}
		s.mu.Lock()
		s.latest = max(s.latest, id)
		s.more = s.in.Buffered() > 0
		s.mu.Unlock()
		<-s.reading
		buf = payload[:0]
		s.run(id, payload, &reply)
		if cap(buf) > 64<<10 {
			buf = nil
		}
		if reply.Cap() > 64<<10 {
			reply = bytes.Buffer{}
		}
	}
}
