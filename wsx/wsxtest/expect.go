package wsxtest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// read returns the next message, which must be text: servers answer in text.
func (r *run) read(c *rawConn, deadline time.Time) ([]byte, error) {
	opcode, b, err := c.message(deadline)
	switch {
	case errors.Is(err, errClosed):
		return nil, fmt.Errorf("no message: %w with %d", err, c.code)
	case err != nil:
		return nil, fmt.Errorf("no message: %w", err)
	case opcode != opText:
		return nil, fmt.Errorf("a binary message: %q", b)
	}
	return b, nil
}

func (r *run) expect(c *rawConn, s *step) error {
	deadline := r.deadline(s)
	switch {
	case s.Receive != nil:
		b, err := r.read(c, deadline)
		if err == nil {
			err = r.same(s.Receive, b)
		}
		if err == nil {
			err = r.holds(b, s.Contains, s.Lacks)
		}
		return err
	case s.Unordered != nil:
		return r.unordered(c, s.Unordered, deadline)
	case s.Pong != nil:
		return r.pong(c, *s.Pong, deadline)
	case s.Closed != nil:
		return r.closed(c, *s.Closed, s.Skip, deadline)
	}
	for {
		b, err := r.read(c, deadline)
		if err != nil {
			return err
		}
		if r.same(s.Until, b) == nil {
			return r.holds(b, s.Contains, s.Lacks)
		}
		if err := r.same(s.Skip, b); err != nil {
			return err
		}
	}
}

// tunnelled is what tunnel messages begin with. In vectors WSX://X is {"tunnel": X}.
const tunnelled = "WSX://"

// same compares a message with a pattern.
func (r *run) same(pattern jsontext.Value, message []byte) error {
	return r.match(pattern, plain(message))
}

// plain is a message as JSON.
func plain(message []byte) []byte {
	if len(message) < len(tunnelled) || string(message[:len(tunnelled)]) != tunnelled {
		return message
	}
	return append(append([]byte(`{"tunnel":`), message[len(tunnelled):]...), '}')
}

func (r *run) unordered(c *rawConn, patterns []any, deadline time.Time) error {
	var values []any
	for range patterns {
		b, err := r.read(c, deadline)
		if err != nil {
			return fmt.Errorf("after %v: %w", values, err)
		}
		v, err := parse(plain(b))
		if err != nil {
			return fmt.Errorf("not JSON: %w: %s", err, b)
		}
		values = append(values, v)
	}
	if err := matchAll(patterns, values, r.vars); err != nil {
		return fmt.Errorf("%w\n got %v\nwant %v", err, values, patterns)
	}
	return nil
}

func (r *run) pong(c *rawConn, payload string, deadline time.Time) error {
	if len(c.pongs) == 0 {
		if op, b, err := c.next(deadline, true); err != nil {
			return fmt.Errorf("no pong: %w", err)
		} else if op != opPong {
			return fmt.Errorf("a message where a pong was wanted: %q", b)
		}
	}
	got := c.pongs[0]
	c.pongs = c.pongs[1:]
	if got != payload {
		return fmt.Errorf("a pong of %q, want %q", got, payload)
	}
	return nil
}

// closed waits for the server's close frame and the end of the connection.
func (r *run) closed(c *rawConn, code int, skip jsontext.Value, deadline time.Time) error {
	for {
		_, b, err := c.message(deadline)
		switch {
		case errors.Is(err, errClosed) && c.code != code:
			return fmt.Errorf("closed with %d, want %d", c.code, code)
		case errors.Is(err, errClosed):
			return c.gone(deadline)
		case err != nil:
			return fmt.Errorf("no close frame, %d wanted: %w", code, err)
		case skip == nil:
			return fmt.Errorf("a message before the close frame: %q", b)
		}
		if err := r.same(skip, b); err != nil {
			return err
		}
	}
}

// close closes from the client's side.
func (r *run) close(c *rawConn, s *step, code int) error {
	b := []byte{byte(code >> 8), byte(code)}
	if err := r.writing(c, s, func() error { c.send(opClose, b); return nil }); err != nil {
		return err
	}
	return r.closed(c, code, nil, r.deadline(s))
}

func (r *run) poll(ctx context.Context, c *rawConn, s *step) error {
	deadline := r.deadline(s)
	for {
		b, err := r.fillJSON(s.Poll.Send)
		if err != nil {
			return err
		}
		if err := r.writing(c, s, func() error { c.send(opText, b); return nil }); err != nil {
			return err
		}
		if b, err = r.read(c, deadline); err != nil {
			return err
		}
		if r.same(s.Poll.Until, b) == nil && r.holds(b, s.Contains, s.Lacks) == nil {
			return nil
		}
		if err := r.same(s.Poll.Else, b); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no answer was as %s wants it; the last: %s", s.Poll.Until, b)
		}
		pause := time.NewTimer(pollPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return context.Cause(ctx)
		}
	}
}

// tidy looks whether a server sent more than the vector wanted, and closes the connections.
func (r *run) tidy() error {
	for _, name := range r.names {
		c := r.conns[name]
		if c.closed {
			continue
		}
		id := "end-" + token()
		c.send(opText, []byte(`{"type":"rpc.ping","id":"`+id+`"}`))
		b, err := r.read(c, time.Now().Add(r.timeout))
		if err == nil {
			err = r.same(jsontext.Value(`{"type":"rpc.pong","id":"`+id+`"}`), b)
		}
		if err == nil && len(c.pongs) > 0 {
			err = fmt.Errorf("a pong of %q", c.pongs[0])
		}
		if err == nil {
			err = r.close(c, &step{}, 1000)
		}
		if err != nil {
			return fmt.Errorf("behind the last step, on connection %q: %w", name, err)
		}
	}
	return nil
}
