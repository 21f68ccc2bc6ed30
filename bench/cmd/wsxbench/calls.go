package main

import (
	"bytes"
	"fmt"
	"sync/atomic"
)

// firstID is the first id of a connection's calls: three digits, like those that follow.
const firstID = 100

// caller keeps a number of calls outstanding on one connection.
type caller struct {
	ws      *client
	frames  [][]byte // by id
	answers [][]byte
	waits   []bool
	count   atomic.Int64
	_       [64]byte // no two callers count in one cache line
}

func calls(conns, outstanding int) func(*contestant, *child, *options, string) (result, error) {
	return func(c *contestant, s *child, o *options, profile string) (r result, err error) {
		g := newGroup(conns)
		defer g.close()
		callers := make([]*caller, conns)
		for i := range callers {
			ws, err := c.open(s.addr, c.calls)
			if err != nil {
				return r, err
			}
			g.conns = append(g.conns, ws)
			callers[i] = newCaller(c, ws, outstanding)
		}
		for _, k := range callers {
			g.run(k.loop)
		}
		return window(s, o, profile, g.failed, func() (n int64) {
			for _, k := range callers {
				n += k.count.Load()
			}
			return n
		})
	}
}

func newCaller(c *contestant, ws *client, outstanding int) *caller {
	k := &caller{ws: ws, waits: make([]bool, outstanding)}
	for id := firstID; id < firstID+outstanding; id++ {
		k.frames = append(k.frames, frame(c.call(id)))
		k.answers = append(k.answers, []byte(c.answer(id)))
	}
	return k
}

// loop sends a call for every answer, until the connection ends.
func (k *caller) loop() error {
	var out []byte
	for i := range k.frames {
		k.waits[i] = true
		out = append(out, k.frames[i]...)
	}
	for {
		if err := k.ws.write(out); err != nil {
			return err
		}
		out = out[:0]
		for n := int64(1); ; n++ {
			b, err := k.ws.next()
			if err != nil {
				return err
			}
			i, err := k.check(b)
			if err != nil {
				return err
			}
			k.waits[i] = true
			out = append(out, k.frames[i]...)
			if !k.ws.more() {
				k.count.Add(n)
				break
			}
		}
	}
}

// check returns which call is answered.
func (k *caller) check(b []byte) (int, error) {
	i := int(number(after(b, `"id":`), 3)) - firstID
	if i < 0 || i >= len(k.answers) || !k.waits[i] || !bytes.Equal(b, k.answers[i]) {
		return 0, fmt.Errorf("wrong answer: %s", b)
	}
	k.waits[i] = false
	return i, nil
}

// after is what follows the first mark, nothing when there is none.
func after(b []byte, mark string) []byte {
	if i := bytes.Index(b, []byte(mark)); i >= 0 {
		return b[i+len(mark):]
	}
	return nil
}

// number reads so many digits, -1 when they are not there.
func number(b []byte, digits int) int64 {
	if len(b) < digits {
		return -1
	}
	var n int64
	for _, d := range b[:digits] {
		if d < '0' || d > '9' {
			return -1
		}
		n = 10*n + int64(d-'0')
	}
	return n
}
