package wsxtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// pollPause is between two messages of a poll step.
const pollPause = 5 * time.Millisecond

// run is one run of a vector.
type run struct {
	url     string
	host    string
	stop    func()
	timeout time.Duration
	vars    map[string]any

	mu      sync.Mutex // of what drop needs
	conns   map[string]*rawConn
	names   []string // of conns, in the order of their making
	dropped bool
}

// token is a short text that no other run has.
func token() string { return strings.ToLower(rand.Text()[:10]) }

// steps does them one after the other.
func (r *run) steps(ctx context.Context, steps []step) error {
	for i := range steps {
		if err := r.step(ctx, &steps[i]); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

func (r *run) step(ctx context.Context, s *step) error {
	switch {
	case s.Connect != nil:
		return r.connect(ctx, s)
	case s.HTTP != nil:
		return r.http(ctx, s)
	case s.Repeat != nil:
		for i := range s.Repeat.Times {
			r.vars["i"] = number(strconv.Itoa(i))
			if err := r.steps(ctx, s.Repeat.Steps); err != nil {
				return fmt.Errorf("round %d: %w", i+1, err)
			}
		}
		return nil
	case s.Stop:
		r.stop()
		return nil
	}
	c := r.conns[s.On]
	if c == nil {
		return fmt.Errorf("there is no connection %q", s.On)
	}
	switch {
	case s.Receive != nil, s.Until != nil, s.Unordered != nil, s.Pong != nil, s.Closed != nil:
		return r.expect(c, s)
	case s.Poll != nil:
		return r.poll(ctx, c, s)
	}
	return r.send(c, s)
}

// deadline is that of a step's wait.
func (r *run) deadline(s *step) time.Time {
	d := r.timeout
	if s.WithinMS > 0 {
		d = time.Duration(s.WithinMS) * time.Millisecond
	}
	return time.Now().Add(d)
}

func (r *run) connect(ctx context.Context, s *step) error {
	if r.conns[s.On] != nil {
		return fmt.Errorf("connection %q is there already", s.On)
	}
	header, err := r.header(s.Connect.Headers)
	if err != nil {
		return err
	}
	if s.Connect.Subprotocols != nil {
		header["Sec-WebSocket-Protocol"] = []string{strings.Join(s.Connect.Subprotocols, ", ")}
	}
	target, err := r.fillText(s.Connect.Path, "/ws")
	if err != nil {
		return err
	}
	nc, err := dialTCP(ctx, r.host, s.Connect.Small)
	if err != nil {
		return err
	}
	if err := nc.SetDeadline(r.deadline(s)); err != nil {
		return err
	}
	got, c, err := handshake(nc, r.host, target, header)
	if err != nil || c == nil {
		_ = nc.Close()
	} else {
		err = nc.SetDeadline(time.Time{})
		r.keep(s.On, c)
	}
	if err != nil {
		return err
	}
	want := s.Connect.Status
	if want == 0 {
		want = http.StatusSwitchingProtocols
	}
	if selected := got.header.Get("Sec-Websocket-Protocol"); selected != s.Connect.Subprotocol {
		return fmt.Errorf("the server selected the subprotocol %q, want %q", selected,
			s.Connect.Subprotocol)
	}
	return r.answer(got, want, s.Connect.Answer)
}

func (r *run) http(ctx context.Context, s *step) error {
	h := s.HTTP
	header, err := r.header(h.Headers)
	if err != nil {
		return err
	}
	body, err := h.Text.bytes(r.vars)
	if err != nil {
		return err
	}
	if h.JSON != nil {
		if body, err = r.fillJSON(h.JSON); err != nil {
			return err
		}
		header["Content-Type"] = []string{"application/json"}
	}
	target, err := r.fillText(h.Path, "/rpc")
	if err != nil {
		return err
	}
	method := h.Method
	if method == "" {
		method = http.MethodPost
	}
	ctx, cancel := context.WithDeadline(ctx, r.deadline(s))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.host+target,
		bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, values := range header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	got, err := receive(resp)
	if err != nil {
		return err
	}
	want := h.Status
	if want == 0 {
		want = http.StatusOK
	}
	return r.answer(got, want, h.Answer)
}

// answer compares an HTTP answer with what is wanted.
func (r *run) answer(resp *received, status int, want *answer) error {
	body := resp.body
	if resp.status != status {
		return fmt.Errorf("status %d, want %d: %s", resp.status, status, body)
	}
	if want == nil {
		return nil
	}
	for name, pattern := range want.Headers {
		var got any
		if v := resp.header.Values(name); len(v) > 0 {
			got = strings.Join(v, ", ")
		}
		if (got == nil) != (pattern == absent) {
			return fmt.Errorf("header %s is %v, want %s", name, got, pattern)
		}
		if got == nil {
			continue
		}
		if err := match(pattern, got, r.vars); err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
	}
	if want.Empty && len(body) > 0 {
		return fmt.Errorf("a body where none is wanted: %s", body)
	}
	if want.JSON != nil {
		if err := r.match(want.JSON, body); err != nil {
			return err
		}
	}
	return r.holds(body, want.Contains, want.Lacks)
}

// holds looks for texts in a message.
func (r *run) holds(message []byte, contains, lacks []string) error {
	for i, list := range [][]string{contains, lacks} {
		for _, t := range list {
			filled, err := fill(t, r.vars)
			if err != nil {
				return err
			}
			if bytes.Contains(message, fmt.Append(nil, filled)) != (i == 0) {
				return fmt.Errorf("the message holds, or does not, %q: %s", filled, message)
			}
		}
	}
	return nil
}

func (r *run) header(in map[string]oneOrMore) (map[string][]string, error) {
	out := make(map[string][]string)
	for name, values := range in {
		out[name] = nil
		for _, v := range values {
			filled, err := r.fillText(v, "")
			if err != nil {
				return nil, err
			}
			out[name] = append(out[name], filled)
		}
	}
	return out, nil
}

func (r *run) fillText(s, instead string) (string, error) {
	if s == "" {
		s = instead
	}
	filled, err := fill(s, r.vars)
	return fmt.Sprint(filled), err
}

func (r *run) fillJSON(raw jsontext.Value) ([]byte, error) {
	v, err := parse(raw)
	if err != nil {
		return nil, err
	}
	if v, err = fillAll(v, r.vars); err != nil {
		return nil, err
	}
	if m, ok := v.(map[string]any); ok && len(m) == 1 && m["tunnel"] != nil {
		b, err := json.Marshal(m["tunnel"])
		return append([]byte(tunnelled), b...), err
	}
	return json.Marshal(v)
}

// match compares a message's text with a pattern.
func (r *run) match(pattern jsontext.Value, message []byte) error {
	p, err := parse(pattern)
	if err != nil {
		return err
	}
	v, err := parse(message)
	if err != nil {
		return fmt.Errorf("not JSON: %w: %s", err, message)
	}
	if err := match(p, v, r.vars); err != nil {
		return fmt.Errorf("%w\n got %s\nwant %s", err, message, pattern)
	}
	return nil
}

func (r *run) send(c *rawConn, s *step) error {
	var b []byte
	var err error
	opcode := opText
	switch {
	case s.Send != nil:
		b, err = r.fillJSON(s.Send)
	case s.Text != nil:
		b, err = s.Text.bytes(r.vars)
	case s.Binary != nil:
		opcode = opBinary
		b, err = s.Binary.bytes(r.vars)
	case s.Ping != nil:
		opcode, b = opPing, []byte(*s.Ping)
	case s.Close != nil:
		return r.close(c, s, *s.Close)
	case s.Drop:
		c.closed = true
		return c.net.Close()
	default:
		return r.frames(c, s)
	}
	if err != nil {
		return err
	}
	return r.writing(c, s, func() error { c.send(opcode, b); return nil })
}

func (r *run) frames(c *rawConn, s *step) error {
	return r.writing(c, s, func() error {
		for i := range s.Frames {
			payload, err := s.Frames[i].Payload.bytes(r.vars)
			if err != nil {
				return err
			}
			for range max(1, s.Frames[i].Times) {
				c.write(&s.Frames[i], payload)
			}
		}
		c.flush()
		return nil
	})
}

// writing bounds the writes in do. That they fail is no error: the server may have closed, and the
// next read tells why.
func (r *run) writing(c *rawConn, s *step, do func() error) error {
	if err := c.net.SetWriteDeadline(r.deadline(s)); err != nil {
		return err
	}
	return do()
}

// keep notes a connection, unless the run is over.
func (r *run) keep(name string, c *rawConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.conns[name] = c
	r.names = append(r.names, name)
	if r.dropped {
		_ = c.net.Close()
	}
}

// drop ends the connections that are left.
func (r *run) drop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropped = true
	for _, c := range r.conns {
		_ = c.net.Close()
	}
}
