package executor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/go-json-experiment/json"
)

// marker is the environment variable that makes a process a worker: its value is "protocol calls in out control life alive".
const marker = "GENRO_ASGI_EXECUTOR_WORKER"

const protocol = 1

// hello is what a worker is told first.
type hello struct {
	Protocol    int    `json:"protocol"`
	Build       string `json:"build"`
	PID         int    `json:"pid"`          // the parent's
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

// failure is an error of a function on its way to the caller.
type failure struct {
	Message  string `json:"message"`
	Status   int    `json:"status,omitempty"`
	Canceled bool   `json:"canceled,omitempty"`
	Deadline bool   `json:"deadline,omitempty"`
}

// Main makes this process a worker if an Executor started it as one: then it serves calls and never returns. In any other
// process it does nothing. It stands first in main, and in TestMain.
func Main() {
	value, ok := os.LookupEnv(marker)
	if !ok {
		return
	}
	if err := workerMain(value); err != nil {
		fmt.Fprintln(os.Stderr, "executor: worker:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func workerMain(value string) error {
	var version, calls int
	var fds [5]uintptr
	if _, err := fmt.Sscan(value, &version, &calls, &fds[0], &fds[1], &fds[2], &fds[3], &fds[4]); err != nil {
		return fmt.Errorf("the environment variable %s is not for you to set: %w", marker, err)
	}
	if version != protocol {
		return fmt.Errorf("protocol %d asked for, %d known", version, protocol)
	}
	_ = os.Unsetenv(marker) // a child of this process is no worker
	in, out, control, err := workerPipes(fds, calls)
	if err != nil {
		return err
	}
	s := newServer(in, out, control)
	if err := s.greet(applyLimits); err != nil {
		return err
	}
	go s.listen(func() {
		endOrphan()
		os.Exit(1)
	})
	for range calls {
		go s.serve()
	}
	<-s.ended
	return s.err
}

// server is the worker's side of the pipes.
type server struct {
	out     pipeWriter
	control *bufio.Reader
	files   *files
	parent  int
	max     int64
	ended   chan struct{} // closed when the parent has ended the pipe of calls, and err says how
	err     error

	readMu sync.Mutex // held by the one goroutine that waits for a call
	in     *bufio.Reader

	mu      sync.Mutex
	latest  uint64 // highest id read
	more    bool   // and another call has come with it
	cancels map[uint64]context.CancelCauseFunc
	early   map[uint64]bool // cancelled before their call was read: the control pipe is the faster one
	held    map[uint64]*file
}

func newServer(in, out, control *os.File) *server {
	return &server{
		in: bufio.NewReaderSize(in, 64<<10), out: pipeWriter{w: out}, control: bufio.NewReaderSize(control, 4<<10),
		ended:   make(chan struct{}),
		cancels: make(map[uint64]context.CancelCauseFunc), early: make(map[uint64]bool), held: make(map[uint64]*file),
	}
}

// greet answers the hello; apply sets the limits it asks for.
func (s *server) greet(apply func(hello) error) error {
	t, _, payload, err := readFrame(s.in, nil)
	if err != nil {
		return fmt.Errorf("no greeting: %w", err)
	}
	var h hello
	if err := json.Unmarshal(payload, &h); err != nil || t != frameHello {
		return fmt.Errorf("bad greeting: %w", errors.Join(err, errFrame))
	}
	answer := welcome{Protocol: protocol, Build: buildID()}
	if h.Build == answer.Build {
		if err := apply(h); err != nil {
			answer.Error = err.Error()
		}
	}
	s.files, s.parent = &files{dir: h.Dir}, h.PID
	s.max = h.MaxPayload
	body, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	return s.out.write(newFrame(frameHello, 0, body), false)
}

// listen serves the control pipe, apart from the calls, so that a cancel reaches a running function. Its end means that the parent is gone.
func (s *server) listen(orphaned func()) {
	var buf []byte
	for {
		t, id, payload, err := readFrame(s.control, buf)
		if err != nil {
			orphaned()
			return
		}
		buf = payload
		s.mu.Lock()
		switch t {
		case frameCancel:
			if cancel := s.cancels[id]; cancel != nil {
				cancel(context.Canceled)
			} else if id > s.latest {
				s.early[id] = true
			}
		case frameRelease:
			if f := s.held[id]; f != nil {
				f.close()
				delete(s.held, id)
			}
		}
		s.mu.Unlock()
	}
}

// serve reads a call and runs it in this same goroutine, until the pipe ends. As many goroutines serve as there may be calls at once: one waits in read,
// and where a worker has one call at a time, nothing is handed over between goroutines.
func (s *server) serve() {
	finished := false
	defer func() {
		if !finished { // a function ended this goroutine; the next calls need another
			go s.serve()
		}
	}()
	var frame []byte
	var reply bytes.Buffer
	for {
		s.readMu.Lock()
		t, id, payload, err := readFrame(s.in, frame)
		if err == nil && t != frameCall {
			err = fmt.Errorf("%w: type %d where a call is due", errFrame, t)
		}
		if err != nil {
			if s.err == nil && !errors.Is(err, io.EOF) {
				s.err = err
			}
			select {
			case <-s.ended:
			default:
				close(s.ended)
			}
			s.readMu.Unlock()
			finished = true
			return
		}
		s.mu.Lock()
		s.latest = max(s.latest, id)
		s.more = s.in.Buffered() > 0
		s.mu.Unlock()
		s.readMu.Unlock()
		frame = payload[:0]
		s.run(id, payload, &reply)
		if cap(frame) > 64<<10 {
			frame = nil
		}
		if reply.Cap() > 64<<10 {
			reply = bytes.Buffer{}
		}
	}
}

// run runs one call and answers it.
func (s *server) run(id uint64, payload []byte, reply *bytes.Buffer) {
	returned := false
	var err error
	defer func() {
		if !returned {
			s.forget(id)
			s.answerJSON(framePanic, id, panicked(recover()))
			return
		}
		if err != nil {
			s.answerJSON(frameFailure, id, describe(err))
		}
	}()
	err = s.call(id, payload, reply)
	returned = true
	others := s.forget(id)
	if err == nil {
		err = s.answer(id, reply, others)
	}
}

// call decodes the call, runs its function and leaves its encoded result in reply, after room for the head of a frame.
func (s *server) call(id uint64, payload []byte, reply *bytes.Buffer) error {
	head, body, err := parseCallHead(payload)
	if err != nil {
		return err
	}
	fn := lookup(head.name)
	if fn == nil {
		return fmt.Errorf("executor: function %q is not registered in the worker: NewFunc belongs into a package variable", head.name)
	}
	if head.file != "" {
		if body, err = s.files.readAll(s.parent, head.file, s.max); err != nil {
			return fmt.Errorf("executor: read the payload: %w", err)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	env := &callEnv{Context: ctx, server: s, id: id, progress: head.progress, level: slog.Level(head.level)}
	defer env.close()
	if head.input != "" {
		if env.input, err = s.files.open(s.parent, head.input); err != nil {
			return fmt.Errorf("executor: open the input: %w", err)
		}
	}
	if head.output != "" {
		if env.output, err = s.files.open(s.parent, head.output); err != nil {
			return fmt.Errorf("executor: open the output: %w", err)
		}
	}
	ctx = env
	if head.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, head.timeout)
		defer stop()
	}
	s.mu.Lock()
	s.cancels[id] = cancel
	if s.early[id] {
		delete(s.early, id)
		cancel(context.Canceled)
	}
	s.mu.Unlock()
	reply.Reset()
	reply.Write(beginFrame(reply.AvailableBuffer(), frameResult, id))
	reply.WriteByte(0)
	return fn(ctx, body, reply)
}

// forget takes a call out of those that can be cancelled, and reports whether others are under way.
func (s *server) forget(id uint64) (others bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cancels, id)
	return len(s.cancels) > 0 || s.more
}

// answer sends the result in reply, by file when it is large.
func (s *server) answer(id uint64, reply *bytes.Buffer, others bool) error {
	const head = frameHead + 1
	frame := reply.Bytes()
	if size := int64(len(frame) - head); size > s.max {
		return fmt.Errorf("executor: result of %d bytes exceeds %d", size, s.max)
	} else if size > inlineMax {
		f, err := s.files.create()
		if err != nil {
			return fmt.Errorf("executor: file for the result: %w", err)
		}
		if _, err := f.Write(frame[head:]); err != nil {
			f.close()
			return fmt.Errorf("executor: write the result: %w", err)
		}
		s.mu.Lock()
		s.held[id] = f
		s.mu.Unlock()
		frame = append(frame[:head], f.name...)
		frame[frameHead] = 1
	}
	endFrame(frame)
	_ = s.out.write(frame, others) // as send
	return nil
}

func (s *server) answerJSON(t frameType, id uint64, v any) {
	body, err := json.Marshal(v, allowInvalid)
	if err != nil { // of strings and integers only: cannot be
		body = []byte(`{}`)
	}
	s.send(newFrame(t, id, body))
}

// send writes to the parent. When that fails the parent is gone, and listen ends this process.
func (s *server) send(frame []byte) { _ = s.out.write(frame, false) }

// describe makes err ready to travel.
func describe(err error) failure {
	f := failure{
		Message: clip(err.Error()), Canceled: errors.Is(err, context.Canceled), Deadline: errors.Is(err, context.DeadlineExceeded),
		Status: http.StatusInternalServerError,
	}
	var coded interface{ StatusCode() int }
	if errors.As(err, &coded) {
		if c := coded.StatusCode(); c >= 400 && c <= 599 {
			f.Status = c
		}
	}
	return f
}

// limitHeap sets the Go memory limit below the hard one, so that the collector works harder before the end comes.
func limitHeap(bytes int64) { debug.SetMemoryLimit(bytes / 100 * 85) }

// buildID tells apart two builds of the program: a worker of another one, started after the file was replaced, knows other functions or other types.
func buildID() string {
	id := runtime.Version() + " " + registryID()
	if path, err := executable(); err == nil {
		if info, err := os.Stat(path); err == nil {
			id += fmt.Sprintf(" %d %d", info.Size(), info.ModTime().UnixNano())
		}
	}
	return id
}
