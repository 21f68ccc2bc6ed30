package executor

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/go-json-experiment/json"

	"github.com/genropy/genro-asgi-go/executor/internal/frame"
	"github.com/genropy/genro-asgi-go/executor/internal/shared"
)

// run runs one call and answers it, unless the parent has withdrawn it.
func (s *server) run(id uint64, payload []byte, reply *bytes.Buffer) {
	returned := false
	var err error
	defer func() {
		if !returned {
			s.forget(id)
			body, err := json.Marshal(panicked(recover()), allowInvalid)
			if err != nil { // of two strings: cannot be
				body = []byte(`{}`)
			}
			s.send(frame.New(frame.Panic, id, body))
			return
		}
		if err != nil {
			s.send(frame.New(frame.Failure, id, describe(err).encode()))
		}
	}()
	head, body, err := frame.ParseCallHead(payload)
	if err == nil && !s.shared.Begin(head.Slot) {
		s.skip(id, &head)
		returned = true
		return
	}
	if err == nil {
		err = s.call(id, &head, body, reply)
	}
	returned = true
	others := s.forget(id)
	if err == nil {
		err = s.answer(reply, others)
	}
}

// skip forgets a call that was withdrawn.
func (s *server) skip(id uint64, head *frame.CallHead) {
	for _, name := range [...]string{head.Input, head.Output, head.File} {
		if name == "" {
			continue
		}
		if f, err := s.shared.Take(name); err == nil {
			f.Close()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.early, id)
}

// call runs the function of a call and leaves its encoded result in reply, after room for the head
// of a frame.
func (s *server) call(id uint64, head *frame.CallHead, body []byte, reply *bytes.Buffer) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	env := &callEnv{
		Context: ctx, server: s, id: id, progress: head.Progress,
		level: slog.Level(head.Level),
	}
	defer env.close()
	var large *shared.File
	for _, f := range [...]struct {
		name, what string
		to         **shared.File
	}{
		{head.Input, "input", &env.input},
		{head.Output, "output", &env.output},
		{head.File, "payload", &large},
	} {
		if f.name == "" {
			continue
		}
		var err error
		if *f.to, err = s.shared.Take(f.name); err != nil {
			return fmt.Errorf("executor: open the %s: %w", f.what, err)
		}
	}
	fn := lookup(head.Name)
	if fn.call == nil {
		return fmt.Errorf(
			"executor: function %q is not registered in the worker: NewFunc belongs into a "+
				"package variable", head.Name)
	}
	if large != nil {
		var err error
		body, err = large.ReadAll(s.max)
		large.Close()
		if err != nil {
			return fmt.Errorf("executor: read the payload: %w", err)
		}
	}
	ctx = env
	if head.Timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, head.Timeout)
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
	reply.Write(frame.Begin(reply.AvailableBuffer(), frame.Result, id))
	reply.WriteByte(0)
	if len(s.around) == 0 {
		return fn.call(ctx, body, reply)
	}
	return s.callThrough(ctx, head, fn, body, reply)
}

// callThrough calls fn with the middleware around it.
func (s *server) callThrough(ctx context.Context, head *frame.CallHead, fn registration,
	body []byte, reply *bytes.Buffer,
) error {
	meta, err := frame.ParseMeta(head.Meta)
	if err != nil {
		return err
	}
	begin := reply.Len()
	done := false
	_, err = through(ctx, s.around, &CallInfo{Func: head.Name, Meta: meta, PID: os.Getpid()},
		func(ctx context.Context) (_ struct{}, err error) {
			reply.Truncate(begin)
			err = fn.call(ctx, body, reply)
			done = err == nil
			return struct{}{}, err
		})
	if err == nil && !done { // the middleware made a success of a failure
		reply.Truncate(begin)
		err = fn.empty(reply)
	}
	return err
}

// forget takes a call out of those that can be cancelled, and reports whether others are under way.
func (s *server) forget(id uint64) (others bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.cancels, id)
	return len(s.cancels) > 0 || s.more
}

// answer sends the result in reply, by file when it is large.
func (s *server) answer(reply *bytes.Buffer, others bool) error {
	const head = frame.HeadSize + 1
	answer := reply.Bytes()
	if size := int64(len(answer) - head); size > s.max {
		return &stageError{fmt.Errorf("%d bytes exceed Options.MaxPayload, %d", size, s.max), true}
	} else if size > frame.MaxValue {
		f, err := shared.CreateFile(s.dir)
		if err != nil {
			return &stageError{fmt.Errorf("file for it: %w", err), true}
		}
		defer f.Close()
		if _, err = f.Write(answer[head:]); err == nil {
			err = s.shared.Pass(f)
		}
		if err != nil {
			return &stageError{fmt.Errorf("write its file: %w", err), true}
		}
		f.Keep() // it is the parent's now
		answer = append(answer[:head], f.ID...)
		answer[frame.HeadSize] = 1
	}
	frame.End(answer)
	_ = s.out.Write(answer, others) // as send
	return nil
}

// send writes to the parent. When that fails the parent is gone, and listen ends this process.
func (s *server) send(b []byte) { _ = s.out.Write(b, false) }
